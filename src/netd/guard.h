/* SPDX-License-Identifier: Apache-2.0 */
/* guard.h - TAPs that are no longer as we made them.
 *
 * Who holds a TAP's descriptor may do more with it than send and receive: make the TAP
 * outlive it, give it a neighbour's MAC (the bridge then keeps that one's frames for
 * itself), or let somebody else attach to it.
 */
#pragma once
#include "addr.h"

#include <systemd/sd-event.h>

struct guard;

/* The MAC of every TAP itself, which is no VM's. */
extern const struct mac guard_mac;

enum guard_fault {
    GUARD_MAC,
    GUARD_OUTLIVE, /* nobody has it open, and it is still there */
    GUARD_OWNER,
};

/* What happened to it, in words for the log. */
extern const char *const guard_words[];

/* wrong: called for a link that is a bridge's port and not as it was made. It may be called
 * again until the link is gone. missed: news were lost, have a look at all. */
struct guard_events {
    void (*wrong)(void *arg, int ifindex, enum guard_fault fault);
    void (*missed)(void *arg);
    void *arg;
};

int guard_new(sd_event *event, const struct guard_events *events, struct guard **ret);
void guard_free(struct guard *guard);
/* Has a look at one, now that nobody has watched it: wrong() may follow, later. */
void guard_look(const struct guard *guard, int ifindex);
