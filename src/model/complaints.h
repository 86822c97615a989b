/* SPDX-License-Identifier: Apache-2.0 */
/* complaints.h - what is wrong with a text that somebody wrote, and what to write instead.
 *
 * All of it at once, since nobody likes to be told one mistake a try; but bounded, since a
 * text that is no definition at all could have any number.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define COMPLAINTS_MAX 32
#define COMPLAINT_TEXT 192

/* From 1, as editors count: a column is a character. Line 0: the file as a whole. */
struct position {
    unsigned line, column;
};

struct complaint {
    struct position at;
    char what[COMPLAINT_TEXT];   /* is wrong */
    char remedy[COMPLAINT_TEXT]; /* "": none can be named */
};

/* All zero: none yet. */
struct complaints {
    size_t n;
    size_t left_out; /* had no room */
    struct complaint items[COMPLAINTS_MAX];
};

/* Control characters, and bytes that are no UTF-8 character or not a whole one, become '?', so
 * that every text is one line of UTF-8. */
__attribute__((format(printf, 3, 4))) void
complaints_add(struct complaints *list, struct position at, const char *what, ...);
/* What to write instead, for the complaint that was added last. */
__attribute__((format(printf, 2, 3))) void complaints_remedy(struct complaints *list,
                                                             const char *remedy, ...);

/* By position, those of the file as a whole first. */
void complaints_sort(struct complaints *list);

/* "FILE:LINE:COLUMN: WHAT; REMEDY", without the parts that there are not. Returns ret. */
#define COMPLAINT_LINE (4096 + 2 * COMPLAINT_TEXT + 32)
const char *complaint_format(const struct complaint *complaint, const char *file, char *ret,
                             size_t size);

/* A value as the text has it, fit for a message: not long, without control characters. */
#define EXCERPT_SIZE 48
const char *excerpt(const char *value, char ret[static EXCERPT_SIZE]);
#define EXCERPT(value) excerpt(value, (char[EXCERPT_SIZE]){ 0 })
