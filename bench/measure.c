/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double now_usec(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

void series_add(struct series *s, double value)
{
    if (s->n < ROUNDS)
        s->round[s->n++] = value;
}

void report_ratio(const char *what, const char *unit, struct series *ours, struct series *bare,
                  const char *aim)
{
    double ratios[ROUNDS];
    for (size_t i = 0; i < ours->n; i++)
        ratios[i] = ours->round[i] / bare->round[i];
    double ratio = median(ratios, ours->n);
    double a = median(ours->round, ours->n), b = median(bare->round, bare->n);
    printf("%-46s ours %9.1f [%.1f..%.1f]  bare %9.1f [%.1f..%.1f] %s  ratio %.2f (aim %s)\n", what,
           a, ours->round[0], ours->round[ours->n - 1], b, bare->round[0], bare->round[bare->n - 1],
           unit, ratio, aim);
    fflush(stdout);
}

void give_up(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("bench: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}
