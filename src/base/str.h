/* SPDX-License-Identifier: Apache-2.0 */
/* str.h - bounded copies and checked formatting into fixed arrays.
 *
 * Names on the wire to the privileged helper live in fixed arrays; these two
 * never write past one and always say when something did not fit.
 */
#pragma once
#include <stddef.h>

/* Copies src with its NUL. Returns 0, or -ENAMETOOLONG with dst made "". */
int str_copy(char *dst, size_t size, const char *src);

/* snprintf() that reports truncation: 0, or -ENAMETOOLONG with dst made "". */
__attribute__((format(printf, 3, 4))) int str_format(char *dst, size_t size, const char *fmt, ...);

/* A whole decimal number within [min, max]; no sign, blanks or leftovers.
 * Returns 0, -EINVAL (not a number) or -ERANGE, and leaves *ret alone on error. */
int str_to_uint(const char *text, unsigned long min, unsigned long max, unsigned long *ret);
