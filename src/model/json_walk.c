/* SPDX-License-Identifier: Apache-2.0 */
#include "json_walk.h"

#include <stdio.h>

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && blank(*at))
        at++;
    return at;
}

/* at: behind the opening quote. Returns the closing one. */
static const char *string_end(const char *at, const char *end)
{
    while (at < end && *at != '"')
        at += *at == '\\' && at + 1 < end ? 2 : 1;
    return at;
}

/* at: in a number, or true, false, null. */
static const char *word_end(const char *at, const char *end)
{
    while (at < end && !blank(*at) && *at != ',' && *at != ']' && *at != '}')
        at++;
    return at;
}

/* Behind a value: objects and arrays end where as many brackets are closed as were opened. */
static const char *skip_value(const char *at, const char *end)
{
    size_t depth = 0;
    do {
        if (*at == '"')
            at = string_end(at + 1, end);
        else if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth--;
        else if (depth == 0)
            return word_end(at, end);
        at++;
    } while (depth > 0 && at < end);
    return at;
}

struct json_walk json_walk_begin(const char *at, const char *end)
{
    return (struct json_walk){ at + 1, end };
}

/* To the next value or key; false at the closing bracket. */
static bool advance(struct json_walk *walk)
{
    walk->next = skip_blanks(walk->next, walk->end);
    if (walk->next < walk->end && *walk->next == ',')
        walk->next = skip_blanks(walk->next + 1, walk->end);
    return walk->next < walk->end && *walk->next != '}' && *walk->next != ']';
}

bool json_walk_member(struct json_walk *walk, struct json_member *ret)
{
    if (!advance(walk))
        return false;
    ret->key_at = walk->next;
    const char *close = string_end(ret->key_at + 1, walk->end);
    (void)snprintf(ret->key, sizeof ret->key, "%.*s", (int)(close - ret->key_at - 1),
                   ret->key_at + 1);
    const char *colon = skip_blanks(close + 1, walk->end);
    ret->value_at = skip_blanks(colon + 1, walk->end);
    walk->next = skip_value(ret->value_at, walk->end);
    return true;
}

const char *json_walk_element(struct json_walk *walk)
{
    if (!advance(walk))
        return NULL;
    const char *at = walk->next;
    walk->next = skip_value(at, walk->end);
    return at;
}

const char *json_walk_root(const char *text, const char *end)
{
    return skip_blanks(text, end);
}

struct position json_walk_position(const char *text, const char *at)
{
    struct position p = { 1, 1 };
    for (; text < at; text++) {
        if (*text == '\n')
            p = (struct position){ p.line + 1, 1 };
        else
            p.column += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return p;
}
