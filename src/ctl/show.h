/* SPDX-License-Identifier: Apache-2.0 */
/* show.h - members of replies, and lines of text from elsewhere on a terminal. */
#pragma once
#include <jansson.h>

/* NULL: there is none of that name, or it is no string. Borrowed. */
const char *member_text(const json_t *object, const char *key);
/* 0: likewise. */
long long member_number(const json_t *object, const char *key);

/* "-" for nothing. */
const char *or_dash(const char *text);

/* A line. What other processes and guests call themselves must not reach a terminal as
 * control sequences. */
__attribute__((format(printf, 1, 2))) void print_clean(const char *fmt, ...);
