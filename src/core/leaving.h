/* SPDX-License-Identifier: Apache-2.0 */
/* leaving.h - when the broker exits.
 *
 * By itself, if it was started on demand: when no client has been connected for the idle
 * timeout and no network is left. An idle network that is to stay longer keeps it. So does a
 * connection, even one that never says a word: whoever connects is about to ask, or has a
 * library that keeps its connection, and must not find it closed. It holds nothing by that
 * but one small process. That goes for those, too, who connect as the time comes and have not
 * been accepted yet: the door is shut first, and then we look who stands behind it.
 *
 * Or because somebody asked it to (Stop): as soon as every network is removed, without
 * waiting for idle timers. Whoever uses a network, or acquires one meanwhile, comes first,
 * and then the one who asked hears who that is.
 *
 * SIGTERM is brokerd's business, and leaves the networks to the next broker.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct broker;
struct peer;

struct leaving {
    struct timer *timer;  /* runs while nobody is connected, if we exit when idle */
    uint64_t alone_since; /* when the last client left */
    bool stopping;        /* somebody asked, and nobody has used a network since */
};

/* 0 or -ENOMEM. The broker is alone from now on. */
int leaving_init(struct broker *broker);
void leaving_clear(struct broker *broker); /* also after a leaving_init() that failed */

/* The first client came; the last one has gone. */
void leaving_not_alone(struct broker *broker);
void leaving_alone(struct broker *broker);

/* A network or its number of users changed: has the time come? */
void leaving_reconsider(struct broker *broker);

/* A peer's parked call is a Stop that policy allows. Answers it once it is decided. */
void leaving_asked(struct broker *broker, struct peer *peer);
