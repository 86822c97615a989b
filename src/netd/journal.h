/* SPDX-License-Identifier: Apache-2.0 */
/* journal.h - what netd has made, written down before it is made.
 *
 * A new netd reads what a dead one left and adopts or sweeps it; journal.c draws
 * the files. Whatever the journal names may exist, partly exist or not exist.
 */
#pragma once
#include "anchor.h"
#include "host_nat.h"
#include "names.h"
#include "netd_msg.h"

#include <stdbool.h>

struct journal;

enum journal_child {
    JOURNAL_DNSMASQ,
    JOURNAL_ENGINE,
    JOURNAL_RELAY,
    JOURNAL_FORWARDER,
    JOURNAL_OWN_RELAY,
    JOURNAL_CHILDREN
};

struct journal_tap {
    uint32_t index; /* of its network */
    struct netd_interface interface;
};

struct journal_forward {
    uint32_t index; /* of its network */
    uint32_t number;
    struct netd_forward forward;
};

struct journal_network {
    bool known;        /* false: nothing with this index */
    bool built;        /* false: netd died while it was being built or removed */
    uint64_t stranded; /* not 0: lost with these TAPs (names.h) on it; see stranded.h */
    struct netd_network network;
    struct netd_reservation *reservations;
    size_t n_reservations;
    struct process dnsmasq, relay;
    char spare_tap[NETD_TAP_SIZE]; /* "": none */
};

/* What a journal says in the end: things said to be gone are left out. */
struct journal_state {
    struct process anchor; /* pid 0: none */
    struct process engines[UPLINKS_MAX], relay, forwarder;
    struct host_nat_plan host_nat;                 /* transit 0: nothing of it in the host */
    struct journal_network networks[NETWORKS_MAX]; /* by index */
    bool orphans; /* not from the file: there should have been one (orphans.h) */
    struct journal_tap *taps;
    size_t n_taps;
    struct journal_forward *forwards;
    size_t n_forwards;
};

/* An empty one, the caller's; NULL: no memory. */
struct journal_state *journal_state_new(void);
void journal_state_free(struct journal_state *state);
/* Nothing with this index. */
void journal_state_forget(struct journal_state *state, uint32_t index);
/* Nothing of it, but that it is stranded with these TAPs. */
void journal_state_strand(struct journal_state *state, uint32_t index, uint64_t taps);
int journal_state_add_tap(struct journal_state *state, uint32_t index,
                          const struct netd_interface *interface);
int journal_state_add_forward(struct journal_state *state, const struct journal_forward *forward);

/* No journal gives an empty state, and so does one of an earlier boot; lines that make no
 * sense are left out. The caller frees. */
int journal_read(int dirfd, struct journal_state **ret);

/* A journal that says as much, in the place of the old one; on error that stands as it was.
 * dirfd: borrowed. */
int journal_begin(int dirfd, const struct journal_state *state, struct journal **ret);
/* The same, for one that goes on; but its anchor stays the last that it was told. */
int journal_begin_again(struct journal *journal, const struct journal_state *state);
/* Is most of it history by now? Then it is worth beginning again. */
bool journal_is_long(const struct journal *journal);
/* remove: the files too, for nothing is left that they could tell of. */
void journal_free(struct journal *journal, bool remove);

/* May something new be begun? 0, or why its directory cannot be written to. What is needed to
 * end what was begun can still be written then: some room is kept for that. */
int journal_room(struct journal *journal);
/* err: what the writing of another file there said. Gives the room to it, when that was what it
 * lacked: then the caller tries again. */
bool journal_gives_room(struct journal *journal, int err);

/* One fact each. 0 or a negative errno; then nothing was written. */
int journal_anchor(struct journal *journal, const struct process *anchor);
int journal_network(struct journal *journal, uint32_t index, const struct netd_network *network);
int journal_update(struct journal *journal, uint32_t index, uint32_t idle_timeout_sec,
                   const struct netd_reservation *reservations, size_t n);
int journal_built(struct journal *journal, uint32_t index);
/* Its removal begins: it is no longer fit to be adopted. */
int journal_unbuilt(struct journal *journal, uint32_t index);
int journal_network_gone(struct journal *journal, uint32_t index);
/* A TAP that nobody has yet. Only the last one of a network counts, until it is a tap. */
int journal_spare_tap(struct journal *journal, uint32_t index, const char *tap);
int journal_tap(struct journal *journal, uint32_t index, const struct netd_interface *interface);
int journal_tap_gone(struct journal *journal, const char *tap);
int journal_forward(struct journal *journal, const struct journal_forward *forward);
int journal_forward_gone(struct journal *journal, uint32_t number);
/* What of the host's is about to be ours for the kernel uplink; transit 0: nothing any more. */
int journal_host_nat(struct journal *journal, const struct host_nat_plan *plan);
/* index: of dnsmasq's network, or of that which the relay is for; of the
 * engine's uplink; else 0. */
int journal_child(struct journal *journal, enum journal_child kind, uint32_t index, pid_t pid,
                  uint64_t born);
