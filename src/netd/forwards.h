/* SPDX-License-Identifier: Apache-2.0 */
/* forwards.h - ports of the host that lead to VMs: which there are, and that somebody listens.
 *
 * The sockets are made by the spawner, who is outside, and passed on to the forwarder
 * (forwarder.h), which is started with the first forward and ended with the last. When it
 * dies, the next one gets new ones. A port that somebody else has taken meanwhile is tried
 * again and again.
 */
#pragma once
#include "journal.h"
#include "link.h"
#include "nft.h"
#include "spawner.h"
#include "why.h"

#include <systemd/sd-event.h>

#define NETD_FORWARDS_MAX 1024u /* of all networks; vmnet-broker(8) has the number */

struct forwards;

struct forwards_setup {
    sd_event *event; /* all borrowed */
    struct spawner *spawner;
    struct journal *journal;
    struct nft *nft;
    struct link_ctx *links;
    int dirfd;        /* netd's directory ... */
    const char *path; /* ... and its name */
    /* It is listened for again (NETD_FORWARD_LIVE), or not any more. */
    void (*changed)(void *arg, const struct netd_forward *forward);
    void *arg;
};

/* Where its network is; the caller has checked that the target is on it. */
struct forward_place {
    uint32_t index;
    uint32_t prefix; /* bits of the target, of 128, that are its link's */
};

int forwards_new(const struct forwards_setup *setup, struct forwards **ret);
/* All of it ends; after forwards_leave(), all but ours lives on. NULL is fine. */
void forwards_free(struct forwards *all);
void forwards_leave(struct forwards *all);

/* -EADDRINUSE: somebody listens there. */
int forwards_add(struct forwards *all, const struct netd_forward *forward,
                 const struct forward_place *place, struct netd_why *why);
/* By protocol, listen, families and external_port. -ENOENT: there is none. */
int forwards_remove(struct forwards *all, const struct netd_forward *forward, struct netd_why *why);
/* A VM or a network has gone, and theirs with it. interface NULL: all of the network's. */
void forwards_end(struct forwards *all, uint32_t index, const char *interface);

void forwards_list(const struct forwards *all, void (*each)(void *arg, const struct netd_forward *),
                   void *arg);

/* For a journal that begins again: all of it, and the forwarder. */
int forwards_describe(const struct forwards *all, struct journal_state *state);

/* One that the journal has already, on a network that lives on. */
void forwards_adopt(struct forwards *all, const struct journal_forward *forward, uint32_t prefix);
/* After these: its forwarder, by the connection to it (taken over; -1: none). */
void forwards_adopt_forwarder(struct forwards *all, const struct process *forwarder, int netd);
