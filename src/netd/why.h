/* SPDX-License-Identifier: Apache-2.0 */
/* why.h - the sentence that goes with an error to whoever asked.
 *
 * A request fails deep down and is answered and logged far up (ops.c). The words
 * are written where the reason is known, into the struct that becomes the answer.
 */
#pragma once
#include "netd_msg.h"

/* "<text>: <strerror>". Returns err, so that a caller can write
 * `return why_failed(why, r, "cannot ...")`. The first story stays: words that are
 * already there are not replaced. */
__attribute__((format(printf, 3, 4))) int why_failed(struct netd_why *why, int err, const char *fmt,
                                                     ...);
/* A file in this directory could not be written: with the remedy. */
int why_unwritten(struct netd_why *why, int err, const char *directory);
/* The same for a refusal, whose text says it all. */
__attribute__((format(printf, 3, 4))) int why_refused(struct netd_why *why, int err,
                                                      const char *fmt, ...);
