/* SPDX-License-Identifier: Apache-2.0 */
/* definition_reader.c - what every part of reading a definition needs: complaints at a place
 * of the text, types, and the members of an object. */
#include "definition_part.h"

#include "json_walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- complaints ---- */

/* What has no room needs no place and no remedy: finding them for every slip of a file that
 * is nothing but slips takes seconds. */
static bool full(const struct reader *r)
{
    return r->out->n == COMPLAINTS_MAX;
}

void reader_wrong(struct reader *r, const char *at, const char *what, ...)
{
    struct position none = { 0 };
    char text[COMPLAINT_TEXT];
    va_list ap;
    va_start(ap, what);
    (void)vsnprintf(text, sizeof text, what, ap);
    va_end(ap);
    complaints_add(r->out, full(r) ? none : json_walk_position(r->text, at), "%s", text);
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

static bool check_type(struct reader *r, const char *what, const char *key, const json_t *value,
                       const char *at, json_type wanted, const char *example)
{
    json_type type = json_typeof(value);
    if (type == wanted || (wanted == JSON_TRUE && type == JSON_FALSE))
        return true;
    reader_wrong(r, at, "%s\"%s\" must be %s, not %s", what, key, type_name(wanted),
                 type_name(type));
    reader_remedy(r, "write it like \"%s\": %s", key, example);
    return false;
}

bool reader_type(struct reader *r, const char *key, const json_t *value, const char *at,
                 json_type wanted, const char *example)
{
    return check_type(r, "", key, value, at, wanted, example);
}

bool reader_element_type(struct reader *r, const char *key, const json_t *value, const char *at,
                         json_type wanted, const char *example)
{
    return check_type(r, "each entry of ", key, value, at, wanted, example);
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

/* Letters of either case are the same here. */
static bool same_letter(char a, char b)
{
    return a == b || (a >= 'A' && a <= 'Z' && a - 'A' + 'a' == b);
}

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
            unsigned best = last[k - 1] + !same_letter(a[i - 1], b[k - 1]);
            best = last[k] + 1 < best ? last[k] + 1 : best;
            best = now[k - 1] + 1 < best ? now[k - 1] + 1 : best;
            if (i > 1 && k > 1 && same_letter(a[i - 1], b[k - 2]) &&
                same_letter(a[i - 2], b[k - 1]) && older[k - 2] + 1 < best)
                best = older[k - 2] + 1;
            now[k] = best;
        }
    }
    return rows[strlen(a) % 3][n];
}

/* Which key was probably meant; n: none. */
static size_t nearest_key(const char *key, const struct vocabulary *vocabulary)
{
    unsigned least = 3 + (unsigned)strlen(key) / 4; /* more slips than that are another word */
    size_t nearest = vocabulary->n;
    for (size_t i = 0; i < vocabulary->n; i++) {
        unsigned d = distance(key, vocabulary->keys[i]);
        if (d < least) {
            least = d;
            nearest = i;
        }
    }
    return nearest;
}

static void complain_unknown(struct reader *r, const struct json_member *member,
                             const struct vocabulary *vocabulary, struct members *members)
{
    size_t nearest = full(r) ? vocabulary->n : nearest_key(member->key, vocabulary);
    reader_wrong(r, member->key_at, "there is no key \"%s\"", EXCERPT(member->key));
    if (nearest < vocabulary->n) {
        reader_remedy(r, "did you mean \"%s\"?", vocabulary->keys[nearest]);
        members->misspelt[nearest] = true;
    } else {
        reader_remedy(r, "remove it; vmnet-broker.d(5) lists the keys");
    }
}

static void complain_repeated(struct reader *r, const struct json_member *member,
                              const char *first_at)
{
    struct position first = { 0 };
    if (!full(r))
        first = json_walk_position(r->text, first_at);
    reader_wrong(r, member->key_at, "\"%s\" is there twice, first in line %u", member->key,
                 first.line);
    reader_remedy(r, "keep one of them");
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
            complain_unknown(r, &member, vocabulary, ret);
        } else if (ret->at[i]) {
            complain_repeated(r, &member, ret->at[i]);
            ret->values[i] = NULL; /* whichever was meant */
        } else {
            ret->values[i] = json_object_get(object, member.key);
            ret->at[i] = member.value_at;
        }
    }
}
