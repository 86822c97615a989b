/* SPDX-License-Identifier: Apache-2.0 */
/* registry_part.h - between the parts of the registry, and for nobody else.
 *
 *   registry.c           what happens
 *   registry_life.c      what that leads to: states, timers, the backend, answers
 *   registry_objects.c   networks and holds
 */
#pragma once
#include "registry.h"

struct registry {
    const struct loop *loop;
    const struct backend *backend;
    struct registry_events events;
    uint32_t idle_timeout_sec;
    struct network_list networks;
};

/* After each change of a state or of a number of users. */
void registry_changed(struct registry *registry);

/* ---- registry_objects.c */

/* In the list, and GONE: an event must follow. NULL without memory. */
struct network *network_new(struct registry *registry, struct definition *def);
/* Of a network that has no users and is in no list. */
void network_free(struct network *network);
void network_drop_handle(struct network *network);
/* Waiting. NULL without memory. */
struct hold *hold_new(struct network *network, struct peer *peer);
void hold_free(struct hold *hold);
void network_free_holds(struct network *network);

/* ---- registry_life.c */

/* failure: why, with the events that are one. It may end the network. */
void network_step(struct network *network, enum net_event event, const struct failure *failure);
void network_on_timer(void *network);
void network_start_idle_timer(struct network *network);
/* Out of the list and freed, whoever holds it. */
void network_forget(struct network *network);
