/* SPDX-License-Identifier: Apache-2.0 */
/* broker_state.h - the broker itself, as the verbs (broker.c, interfaces.c, forwards.c), leaving.c,
 * persistent.c and words.c share it. */
#pragma once
#include "broker.h"
#include "catalog.h"
#include "leaving.h"
#include "peer.h"
#include "persistent.h"
#include "policy.h"
#include "registry.h"

struct broker {
    struct broker_config config;
    struct policy policy;
    const struct loop *loop;
    const struct transport_ops *transport;
    struct backend backend;
    struct registry *registry;
    struct catalog *catalog;
    struct catalog *general; /* who may use networks that do not say it; NULL: who can connect */
    struct persistent persistent;
    struct peer_list peers;
    struct user_list users; /* whose they are */
    unsigned n_peers, peers_so_far;
    struct peer_list watchers; /* of these, who monitors */
    struct errand_list errands;
    struct leaving leaving;
    unsigned turns; /* of looking at all definitions */
    uint64_t started;
};

/* broker.c: the registry's answers to those who acquired. */
void broker_acquired(void *arg, struct peer *peer, const struct network *net, bool again);
void broker_refused(void *arg, struct peer *peer, const char *name, const struct failure *failure);

/* broker.c: what verbs have in common. Those that return false have answered the call. */

/* The form of a network's name. */
bool broker_name_accepted(struct peer *peer, struct call *call, const char *name);
bool broker_network_exists(struct peer *peer, struct call *call, const char *name);
/* May the peer's request wait? */
bool broker_may_wait(struct peer *peer, struct call *call);

/* interfaces.c: the form of an interface's id. */
bool broker_interface_id_valid(const char *id);

enum report_kind { REPORT_LIST, REPORT_STATUS, REPORT_FORWARDS };
/* only: a network's name; NULL: all. */
void broker_answer_report(struct peer *peer, struct call *call, const char *only,
                          enum report_kind kind);

static inline uint64_t broker_now(const struct broker *broker)
{
    return broker->loop->ops->now(broker->loop->self);
}
