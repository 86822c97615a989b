/* SPDX-License-Identifier: Apache-2.0 */
/* registry.h - the networks that exist right now, who uses them, and their idle timers.
 *
 * The registry carries out what the table in lifecycle.h says: it parks
 * connections while a network is created, hands the outcome to all of them, runs the
 * idle timer and asks the backend to build and remove. It logs the life of
 * networks; what it tells connections goes through registry_events to the broker,
 * which has the words and the transport.
 */
#pragma once
#include "backend.h"
#include "definition.h"
#include "lifecycle.h"
#include "loop.h"
#include "peer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct registry;

/* Read by anybody in the core, changed by registry*.c only. */
struct network {
    TAILQ_ENTRY(network) link;
    struct registry *registry;
    char name[NAME_SIZE];
    struct definition *def;     /* as it was created */
    struct definition *wanted;  /* as its definition is now (redefine.h); may be the same */
    bool found;                 /* it was there when we came */
    struct definition *applied; /* whose live keys the backend has; NULL: none yet */
    bool kept;                  /* persistent: in use without any user */
    enum net_state state;
    struct net_handle *handle; /* NULL while the backend has not built it */
    struct timer *timer;       /* to remove it, or to try that again */
    struct hold_list holders, waiters;
    unsigned clients;    /* length of both lists together */
    unsigned interfaces; /* live ones, as the backend told us last */
    unsigned looked_at;  /* in which turn its definition was (broker_state.c) */
    bool lost;           /* it vanished while it was being removed */
};
TAILQ_HEAD(network_list, network);

/* What registry calls when; each may lead back into the registry. */
struct registry_events {
    /* The network is there, and the peer that asked for it holds it now; again: and has
     * held it before. */
    void (*acquired)(void *arg, struct peer *peer, const struct network *network, bool again);
    /* It could not be created; the peer awaits it no more. */
    void (*refused)(void *arg, struct peer *peer, const char *name, const struct failure *failure);
    /* After each change of a state or of a number of users. */
    void (*changed)(void *arg);
    /* It has just been created. */
    void (*created)(void *arg, struct network *network);
    /* It existed, and does no longer; failure: why, if nobody wanted that. */
    void (*gone)(void *arg, const char *name, const struct failure *failure);
    /* Its definition has changed: these keys are applied, those wait. */
    void (*redefined)(void *arg, const struct network *network, definition_keys applied,
                      definition_keys pending);
    void *arg;
};

/* loop: borrowed. NULL without memory. */
struct registry *registry_new(const struct loop *loop, uint32_t idle_timeout_sec,
                              const struct registry_events *events);
/* backend: borrowed. Before the first of the calls below. */
void registry_set_backend(struct registry *registry, const struct backend *backend);
/* Drops every handle and frees every hold; the backend removes nothing and must make no
 * callback any more. NULL is fine. */
void registry_free(struct registry *registry);

/* Sorted by name. */
const struct network_list *registry_networks(const struct registry *registry);
struct network *registry_find(const struct registry *registry, const char *name);
bool network_has_users(const struct network *network);
bool network_in_use(const struct network *network); /* has users, or is kept */
/* An acquire of it is answered at once. */
bool registry_is_ready(const struct registry *registry, const char *name);

/* Ask for a network for a peer; exactly one of acquired() and refused() follows,
 * possibly before this returns, unless the peer goes first. Asking again for a
 * network that the peer holds gives the same answer and is one reference.
 * -ENOMEM: nothing has changed, and no answer follows. */
int registry_acquire(struct registry *registry, struct peer *peer, struct definition *def);

/* A persistent network: it is created if need be, and exists until registry_unkeep(). Should
 * that fail, the network is gone again, and the log says why. 0 or -ENOMEM. */
int registry_keep(struct registry *registry, struct definition *def);
void registry_unkeep(struct network *network);

/* -ENOENT: the peer does not hold it. */
int registry_release(struct registry *registry, struct peer *peer, const char *name);
/* Release all that the peer holds or awaits. */
void registry_peer_gone(struct registry *registry, struct peer *peer);

/* How many networks a uid's connections hold or await, not counting `except`. */
unsigned registry_count_networks(const struct registry *registry, uid_t uid, const char *except);

/* What nobody uses any more is to be created anew before anybody gets it, because its
 * definition has changed. */
void registry_renew(struct network *network);
/* Its idle time is another now: if the timer runs, it begins anew. */
void registry_idle_time_changed(struct network *network);
/* redefine.c has given it another definition. */
void registry_redefined(const struct network *network, definition_keys applied,
                        definition_keys pending);
const struct backend *network_backend(const struct network *network);

/* Begin to remove what nobody uses without waiting for its timer. again: also what
 * could not be removed before. Does not call changed(). */
void registry_remove_unused(struct registry *registry, bool again);

/* ports/backend.h, struct backend_events. def: as it exists. */
void registry_found(struct registry *registry, struct definition *def, struct net_handle *handle,
                    unsigned live);
void registry_interfaces(struct registry *registry, const char *name, unsigned live);
void registry_lost(struct registry *registry, const char *name, const struct failure *failure);
