/* SPDX-License-Identifier: Apache-2.0 */
/* measure.h - samples, their median and range, and a ratio of two measured side by side.
 *
 * Machines are noisy and differ; a ratio of two things measured in alternation in
 * one run is what can be compared. Each round gives one figure; the median of the
 * rounds is reported with its range.
 */
#pragma once
#include <stddef.h>

#define ROUNDS 8

struct series {
    double round[ROUNDS];
    size_t n;
};

double now_usec(void);
double median(double *values, size_t n); /* sorts them */
void series_add(struct series *s, double value);
/* Prints one line: what, ours, bare, ours/bare, and the aim. */
void report_ratio(const char *what, const char *unit, struct series *ours, struct series *bare,
                  const char *aim);
_Noreturn __attribute__((format(printf, 1, 2))) void give_up(const char *fmt, ...);
