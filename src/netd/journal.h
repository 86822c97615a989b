/* SPDX-License-Identifier: Apache-2.0 */
/* journal.h - what netd has made, written down before it is made.
 *
 * A new netd reads what a dead one left and adopts or sweeps it; journal.c draws
 * the file. Whatever the journal names may exist, partly exist or not exist.
 */
#pragma once
#include "anchor.h"
#include "netd_msg.h"

#include <stdbool.h>

#define NETWORKS_MAX 128u /* a network costs a dnsmasq; nobody has that many */

struct journal;

enum journal_child { JOURNAL_DNSMASQ, JOURNAL_ENGINE, JOURNAL_RELAY, JOURNAL_CHILDREN };

struct journal_tap {
    uint32_t index; /* of its network */
    struct netd_interface interface;
};

struct journal_network {
    bool known; /* false: nothing with this index */
    bool built; /* false: netd died while it was being built or removed */
    struct netd_network network;
    struct netd_reservation *reservations;
    size_t n_reservations;
    struct process dnsmasq;
};

/* What a file says in the end: things said to be gone are left out. */
struct journal_state {
    struct process anchor; /* pid 0: none, or of an earlier boot */
    struct process engine, relay;
    struct journal_network networks[NETWORKS_MAX]; /* by index */
    struct journal_tap *taps;
    size_t n_taps;
};

/* No file gives an empty state; lines that make no sense are left out. The caller
 * frees. */
int journal_read(int dirfd, struct journal_state **ret);
void journal_state_free(struct journal_state *state);

/* Begins a new file beside the old one, to be filled with what is true now;
 * journal_commit() puts it in the old one's place. dirfd: borrowed. */
int journal_new(int dirfd, struct journal **ret);
int journal_commit(struct journal *journal);
/* remove: the file too, for nothing is left that it could tell of. */
void journal_free(struct journal *journal, bool remove);

/* One fact each. 0 or a negative errno; then nothing was written. */
int journal_anchor(struct journal *journal, const struct process *anchor);
int journal_network(struct journal *journal, uint32_t index, const struct netd_network *network);
int journal_update(struct journal *journal, uint32_t index, uint32_t idle_timeout_sec,
                   const struct netd_reservation *reservations, size_t n);
int journal_built(struct journal *journal, uint32_t index);
/* Its removal begins: it is no longer fit to be adopted. */
int journal_unbuilt(struct journal *journal, uint32_t index);
int journal_network_gone(struct journal *journal, uint32_t index);
int journal_tap(struct journal *journal, uint32_t index, const struct netd_interface *interface);
int journal_tap_gone(struct journal *journal, const char *tap);
/* index: of dnsmasq's network, else 0. */
int journal_child(struct journal *journal, enum journal_child kind, uint32_t index, pid_t pid,
                  uint64_t born);
