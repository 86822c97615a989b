/* SPDX-License-Identifier: Apache-2.0 */
/* broker_state.h - the broker itself, as broker.c (the verbs), leaving.c and words.c share it. */
#pragma once
#include "broker.h"
#include "leaving.h"
#include "peer.h"
#include "policy.h"
#include "registry.h"

struct broker {
    struct broker_config config;
    struct policy policy;
    const struct loop *loop;
    const struct transport_ops *transport;
    struct backend backend;
    struct registry *registry;
    struct peer_list peers;
    struct user_list users; /* whose they are */
    unsigned n_peers, peers_so_far;
    struct errand_list errands;
    struct leaving leaving;
    uint64_t started;
};

static inline uint64_t broker_now(const struct broker *broker)
{
    return broker->loop->ops->now(broker->loop->self);
}
