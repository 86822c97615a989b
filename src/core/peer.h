/* SPDX-License-Identifier: Apache-2.0 */
/* peer.h - one connection: who it is, what it holds, and what it waits for.
 *
 * All that has to end with a connection hangs from its peer, so that its end is one
 * walk over this struct. What may outlive it is an errand: work that a backend
 * does for the peer. An errand is never freed before the backend answered it; it
 * only forgets its peer, and the answer then finds nobody.
 */
#pragma once
#include "net_def.h"
#include "transport.h"
#include "user.h"

#include <stdbool.h>
#include <sys/queue.h>

struct broker;
struct network; /* registry.h */
struct peer;

/* One reference of one connection to one network: held, or awaited until the network
 * is there. Made and ended by registry.c. */
struct hold {
    TAILQ_ENTRY(hold) of_peer;
    TAILQ_ENTRY(hold) of_network;
    struct peer *peer;
    struct network *network;
    bool waiting;
};
TAILQ_HEAD(hold_list, hold);

enum errand_kind { ERRAND_START, ERRAND_INSPECT, ERRAND_ADD_FORWARD, ERRAND_REMOVE_FORWARD };

struct errand {
    TAILQ_ENTRY(errand) link; /* in the broker's list of all */
    struct errand_list *all;
    struct broker *broker;
    struct peer *peer; /* NULL: gone */
    enum errand_kind kind;
    uid_t uid;
    unsigned queues;         /* of an interface */
    unsigned port;           /* of the host, of a forward */
    char network[NAME_SIZE]; /* which it is about; "": all */
};
TAILQ_HEAD(errand_list, errand);

struct peer {
    TAILQ_ENTRY(peer) link;
    struct broker *broker;
    struct user *user; /* whose connection it is */
    struct peer_cred cred;
    gid_t *groups; /* cred's, owned */
    char tag[64];  /* how its log lines begin: "[peer 12 pid 345 uid 1000]" */
    struct hold_list holds;
    struct call *call;     /* the one request that awaits its answer, or NULL */
    struct errand *errand; /* that this request is waiting for, or NULL */
    bool wants_stop;       /* the request is Stop */
    bool watches;          /* the request is Monitor, and never fully answered */
    TAILQ_ENTRY(peer) in_watchers;
};
TAILQ_HEAD(peer_list, peer);

/* One connection more of its user's. NULL without memory. */
struct peer *peer_new(struct broker *broker, const struct peer_cred *cred, unsigned number);
/* The peer must hold nothing any more. Its call and errand are forgotten. */
void peer_free(struct peer *peer);

/* Keep a request to be answered later, and take it back to answer it. */
void peer_park(struct peer *peer, struct call *call);
struct call *peer_take_call(struct peer *peer);

/* The peer's reference to a network by name, waiting or not; NULL: none. */
struct hold *peer_find_hold(const struct peer *peer, const char *network);

/* network NULL: all. NULL without memory. */
struct errand *errand_new(struct errand_list *all, struct peer *peer, enum errand_kind kind,
                          const char *network);
void errand_free(struct errand *errand);
