/* SPDX-License-Identifier: Apache-2.0 */
/* kept_reply.h - the reply to Acquire, serialized once and kept until the network changes.
 *
 * Making it is two thirds of the work of an Acquire (callgrind: 37,000 of 61,000
 * instructions), and nearly everybody asks for the same network. So the last one is
 * kept, with what it was made of: whoever changes a network need not know of it.
 */
#pragma once
#include "net_handle.h"

struct kept_reply { /* all zero: none yet */
    struct netd_network spec;
    char *uplink;
    char *text;
};

/* One whole message. Borrowed until the next call; NULL without memory. */
const char *kept_reply_get(struct kept_reply *kept, const struct net_handle *handle);
void kept_reply_clear(struct kept_reply *kept);
