/* SPDX-License-Identifier: Apache-2.0 */
/* registry_objects.c - networks and holds as objects: made, found, counted, freed. What happens to
 * them is not decided here. */
#include "registry_part.h"

#include <stdlib.h>
#include <string.h>

struct registry *registry_new(const struct loop *loop, uint32_t idle_timeout_sec,
                              const struct registry_events *events)
{
    struct registry *reg = calloc(1, sizeof *reg);
    if (!reg)
        return NULL;
    reg->loop = loop;
    reg->idle_timeout_sec = idle_timeout_sec;
    reg->events = *events;
    TAILQ_INIT(&reg->networks);
    return reg;
}

void registry_set_backend(struct registry *reg, const struct backend *backend)
{
    reg->backend = backend;
}

static void insert_sorted(struct network_list *list, struct network *net)
{
    struct network *other;
    TAILQ_FOREACH (other, list, link) {
        if (strcmp(other->name, net->name) > 0) {
            TAILQ_INSERT_BEFORE(other, net, link);
            return;
        }
    }
    TAILQ_INSERT_TAIL(list, net, link);
}

struct network *network_new(struct registry *reg, struct definition *def)
{
    struct network *net = calloc(1, sizeof *net);
    if (!net)
        return NULL;
    net->registry = reg;
    memcpy(net->name, def->net.name, sizeof net->name);
    net->state = NET_GONE;
    TAILQ_INIT(&net->holders);
    TAILQ_INIT(&net->waiters);
    net->timer = reg->loop->ops->timer_new(reg->loop->self, network_on_timer, net);
    if (!net->timer) {
        free(net);
        return NULL;
    }
    net->def = definition_ref(def);
    net->wanted = definition_ref(def);
    insert_sorted(&reg->networks, net);
    return net;
}

void network_drop_handle(struct network *net)
{
    const struct backend *backend = net->registry->backend;
    if (net->handle)
        backend->ops->drop(backend->self, net->handle);
    net->handle = NULL;
    net->found = false;
}

void network_free(struct network *net)
{
    network_drop_handle(net);
    net->registry->loop->ops->timer_free(net->timer);
    definition_unref(net->def);
    definition_unref(net->wanted);
    definition_unref(net->applied);
    free(net);
}

struct hold *hold_new(struct network *net, struct peer *peer)
{
    struct hold *hold = calloc(1, sizeof *hold);
    if (!hold)
        return NULL;
    hold->peer = peer;
    hold->network = net;
    hold->waiting = true;
    TAILQ_INSERT_TAIL(&net->waiters, hold, of_network);
    TAILQ_INSERT_TAIL(&peer->holds, hold, of_peer);
    net->clients++;
    return hold;
}

void hold_free(struct hold *hold)
{
    struct network *net = hold->network;
    TAILQ_REMOVE(hold->waiting ? &net->waiters : &net->holders, hold, of_network);
    TAILQ_REMOVE(&hold->peer->holds, hold, of_peer);
    net->clients--;
    free(hold);
}

void network_free_holds(struct network *net)
{
    struct hold *hold;
    while ((hold = TAILQ_FIRST(&net->waiters)) || (hold = TAILQ_FIRST(&net->holders)))
        hold_free(hold);
}

void registry_free(struct registry *reg)
{
    struct network *net;
    if (!reg)
        return;
    while ((net = TAILQ_FIRST(&reg->networks))) {
        TAILQ_REMOVE(&reg->networks, net, link);
        network_free_holds(net);
        network_free(net);
    }
    free(reg);
}

const struct network_list *registry_networks(const struct registry *reg)
{
    return &reg->networks;
}

struct network *registry_find(const struct registry *reg, const char *name)
{
    struct network *net;
    TAILQ_FOREACH (net, &reg->networks, link)
        if (strcmp(net->name, name) == 0)
            return net;
    return NULL;
}

bool registry_is_ready(const struct registry *reg, const char *name)
{
    const struct network *net = registry_find(reg, name);
    return net && (net->state == NET_READY || net->state == NET_IDLE);
}

bool network_has_users(const struct network *net)
{
    return net->clients > 0 || net->interfaces > 0;
}

bool network_in_use(const struct network *net)
{
    return net->kept || network_has_users(net);
}

const struct backend *network_backend(const struct network *net)
{
    return net->registry->backend;
}
