/* SPDX-License-Identifier: Apache-2.0 */
/* json_walk.h - where in a text the values are that jansson has read from it.
 *
 * jansson parses, but gives a line only to errors of syntax. To say where a wrong value is,
 * this walks the same text beside the values: over the members of one object or the elements
 * of one array, giving each one's place. It needs no grammar of its own, since the text is
 * known to be JSON: where a value ends is a matter of brackets and quotes.
 *
 * Only for texts that jansson has accepted.
 */
#pragma once
#include "complaints.h"

#include <stdbool.h>
#include <stddef.h>

struct json_walk {
    const char *next, *end;
};

#define JSON_WALK_KEY 48

struct json_member {
    const char *key_at;      /* its opening quote */
    const char *value_at;    /* its first character */
    char key[JSON_WALK_KEY]; /* cut when too long; escapes as they are written */
};

/* at: the first character of an object or array that ends before end. */
struct json_walk json_walk_begin(const char *at, const char *end);
/* The next member of an object; false: there are no more. */
bool json_walk_member(struct json_walk *walk, struct json_member *ret);
/* The next element of an array, its first character; NULL: there are no more. */
const char *json_walk_element(struct json_walk *walk);

/* The first character of the text's value. */
const char *json_walk_root(const char *text, const char *end);

/* Line and column of a place in the text. */
struct position json_walk_position(const char *text, const char *at);
