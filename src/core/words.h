/* SPDX-License-Identifier: Apache-2.0 */
/* words.h - what the core says to people: refusals, to the log and to the peer alike, and
 * the small change of sentences. */
#pragma once
#include "status.h"

struct call;
struct peer;

/* Answers the call with an error and logs it. */
__attribute__((format(printf, 4, 5))) void refuse(struct peer *peer, struct call *call,
                                                  enum status status, const char *fmt, ...);
void refuse_no_memory(struct peer *peer, struct call *call);

#define QUOTED_SIZE 44

/* What a peer wrote, fit for a message: printable ASCII, and not long. */
const char *quote(const char *text, char out[static QUOTED_SIZE]);
#define QUOTE(text) quote((text), (char[QUOTED_SIZE]){ 0 })

/* "s", or nothing for one. */
static inline const char *plural(unsigned n)
{
    return n == 1 ? "" : "s";
}
