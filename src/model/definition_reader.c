/* SPDX-License-Identifier: Apache-2.0 */
/* definition_reader.c - what every part of reading a definition needs: complaints at a place
 * of the text, types, and the members of an object. */
#include "definition_part.h"

#include "json_walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- complaints ---- */

void reader_wrong(struct reader *r, const char *at, const char *what, ...)
{
    char text[COMPLAINT_TEXT];
    va_list ap;
    va_start(ap, what);
    (void)vsnprintf(text, sizeof text, what, ap);
    va_end(ap);
    complaints_add(r->out, json_walk_position(r->text, at), "%s", text);
}

static const char *type_name(json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    default:
        return "null";
    }
}

bool reader_type(struct reader *r, const char *key, const json_t *value, const char *at,
                 json_type wanted, const char *example)
{
    json_type type = json_typeof(value);
    if (type == wanted || (wanted == JSON_TRUE && type == JSON_FALSE))
        return true;
    reader_wrong(r, at, "\"%s\" must be %s, not %s", key, type_name(wanted), type_name(type));
    reader_remedy(r, "write it like \"%s\": %s", key, example);
    return false;
}

bool reader_number(struct reader *r, const char *key, const json_t *value, const char *at,
                   unsigned min, unsigned max, const char *example, unsigned *ret)
{
    if (!reader_type(r, key, value, at, JSON_INTEGER, example))
        return false;
    json_int_t number = json_integer_value(value);
    if (number < min || number > max) {
        reader_wrong(r, at, "\"%s\" cannot be %" JSON_INTEGER_FORMAT, key, number);
        reader_remedy(r, "write a number from %u to %u", min, max);
        return false;
    }
    *ret = (unsigned)number;
    return true;
}

/* ---- keys ---- */

/* How many letters must be changed, added or dropped; or exchanged with their neighbour. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][JSON_WALK_KEY + 1];
    size_t n = strlen(b);
    if (strlen(a) > JSON_WALK_KEY || n > JSON_WALK_KEY)
        return JSON_WALK_KEY;
    for (size_t k = 0; k <= n; k++)
        rows[0][k] = (unsigned)k;
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned *now = rows[i % 3], *last = rows[(i + 2) % 3], *older = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t k = 1; k <= n; k++) {
            unsigned best = last[k - 1] + (a[i - 1] != b[k - 1]);
            best = last[k] + 1 < best ? last[k] + 1 : best;
            best = now[k - 1] + 1 < best ? now[k - 1] + 1 : best;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                older[k - 2] + 1 < best)
                best = older[k - 2] + 1;
            now[k] = best;
        }
    }
    return rows[strlen(a) % 3][n];
}

static void complain_unknown(struct reader *r, const struct json_member *member,
                             const struct vocabulary *vocabulary)
{
    size_t nearest = 0;
    unsigned least = JSON_WALK_KEY;
    for (size_t i = 0; i < vocabulary->n; i++) {
        unsigned d = distance(member->key, vocabulary->keys[i]);
        if (d < least) {
            least = d;
            nearest = i;
        }
    }
    reader_wrong(r, member->key_at, "there is no key \"%s\"", EXCERPT(member->key));
    if (least <= 2 + strlen(member->key) / 4)
        reader_remedy(r, "did you mean \"%s\"?", vocabulary->keys[nearest]);
    else
        reader_remedy(r, "remove it; vmnet-broker.d(5) lists the keys");
}

void read_members(struct reader *r, const json_t *object, const char *at,
                  const struct vocabulary *vocabulary, struct members *ret)
{
    struct json_walk walk = json_walk_begin(at, r->end);
    struct json_member member;

    *ret = (struct members){ 0 };
    while (json_walk_member(&walk, &member)) {
        size_t i = 0;
        while (i < vocabulary->n && strcmp(vocabulary->keys[i], member.key) != 0)
            i++;
        if (i == vocabulary->n) {
            complain_unknown(r, &member, vocabulary);
        } else if (ret->at[i]) {
            struct position first = json_walk_position(r->text, ret->at[i]);
            reader_wrong(r, member.key_at, "\"%s\" is there twice, first in line %u", member.key,
                         first.line);
            reader_remedy(r, "keep one of them");
        } else {
            ret->values[i] = json_object_get(object, member.key);
            ret->at[i] = member.value_at;
        }
    }
}
