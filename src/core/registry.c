/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c - what happens to networks, as the events of lifecycle.h: connections come and go,
 * definitions change, the backend tells what it sees. registry_part.h lists the rooms. */
#include "registry_part.h"

#include "log.h"

#include <errno.h>
#include <string.h>

void registry_changed(struct registry *reg)
{
    reg->events.changed(reg->events.arg);
}

/* --- what connections do --- */

int registry_acquire(struct registry *reg, struct peer *peer, struct definition *def)
{
    struct hold *hold = peer_find_hold(peer, def->net.name);
    if (hold) {
        reg->events.acquired(reg->events.arg, peer, hold->network, true);
        return 0;
    }

    struct network *net = registry_find(reg, def->net.name);
    if (!net)
        net = network_new(reg, def);
    if (!net)
        return -ENOMEM;

    if (!hold_new(net, peer)) {
        if (net->state == NET_GONE)
            network_forget(net);
        return -ENOMEM;
    }
    network_step(net, EV_ACQUIRE, NULL);
    registry_changed(reg);
    return 0;
}

int registry_keep(struct registry *reg, struct definition *def)
{
    struct network *net = registry_find(reg, def->net.name);
    if (!net)
        net = network_new(reg, def);
    if (!net)
        return -ENOMEM;
    if (net->kept)
        return 0;
    net->kept = true;
    log_info("network '%s': persistent", net->name);
    if (net->state == NET_GONE)
        network_step(net, EV_ACQUIRE, NULL);
    else if (!network_has_users(net))
        network_step(net, EV_IN_USE, NULL);
    registry_changed(reg);
    return 0;
}

void registry_unkeep(struct network *net)
{
    struct registry *reg = net->registry;
    if (!net->kept)
        return;
    net->kept = false;
    if (!network_in_use(net))
        network_step(net, EV_LAST_LEFT, NULL);
    registry_changed(reg);
}

void registry_renew(struct network *net)
{
    if (network_has_users(net))
        return;
    if (net->state == NET_READY) /* kept */
        network_step(net, EV_LAST_LEFT, NULL);
    if (net->state == NET_IDLE)
        network_step(net, EV_TIMEOUT, NULL);
}

void registry_redefined(const struct network *net, definition_keys applied, definition_keys pending)
{
    const struct registry_events *events = &net->registry->events;
    events->redefined(events->arg, net, applied, pending);
}

void registry_idle_time_changed(struct network *net)
{
    if (net->state == NET_IDLE)
        network_start_idle_timer(net);
}

static void leave(struct hold *hold)
{
    struct network *net = hold->network;
    hold_free(hold);
    if (!network_in_use(net))
        network_step(net, EV_LAST_LEFT, NULL);
}

int registry_release(struct registry *reg, struct peer *peer, const char *name)
{
    struct hold *hold = peer_find_hold(peer, name);
    if (!hold)
        return -ENOENT;
    leave(hold);
    registry_changed(reg);
    return 0;
}

void registry_peer_gone(struct registry *reg, struct peer *peer)
{
    struct hold *hold;
    while ((hold = TAILQ_FIRST(&peer->holds)))
        leave(hold);
    registry_changed(reg);
}

static bool list_has_uid(const struct hold_list *list, uid_t uid)
{
    const struct hold *hold;
    TAILQ_FOREACH (hold, list, of_network)
        if (hold->peer->cred.uid == uid)
            return true;
    return false;
}

unsigned registry_count_networks(const struct registry *reg, uid_t uid, const char *except)
{
    const struct network *net;
    unsigned n = 0;
    TAILQ_FOREACH (net, &reg->networks, link)
        if (strcmp(net->name, except) != 0 &&
            (list_has_uid(&net->holders, uid) || list_has_uid(&net->waiters, uid)))
            n++;
    return n;
}

void registry_remove_unused(struct registry *reg, bool again)
{
    struct network *net, *next;
    for (net = TAILQ_FIRST(&reg->networks); net; net = next) {
        next = TAILQ_NEXT(net, link);
        if (net->state == NET_IDLE || (again && net->state == NET_STUCK))
            network_step(net, EV_TIMEOUT, NULL);
    }
}

/* --- what the backend tells unasked --- */

void registry_found(struct registry *reg, struct definition *def, struct net_handle *handle,
                    unsigned live)
{
    struct network *net = registry_find(reg, def->net.name) ? NULL : network_new(reg, def);
    if (!net) {
        log_error("network '%s': found, but cannot adopt it: it is there twice, or memory is short",
                  def->net.name);
        if (reg->backend) /* else the backend is just being made: it is never told again */
            reg->backend->ops->drop(reg->backend->self, handle);
        return;
    }
    net->handle = handle;
    net->found = true;
    net->interfaces = live;
    log_info("network '%s': found, with %u live interfaces", def->net.name, live);
    network_step(net, live > 0 ? EV_FOUND : EV_FOUND_UNUSED, NULL);
    registry_changed(reg);
}

void registry_interfaces(struct registry *reg, const char *name, unsigned live)
{
    struct network *net = registry_find(reg, name);
    if (!net)
        return; /* the last TAPs of a network that was removed or lost */

    bool used = network_in_use(net);
    net->interfaces = live;
    if (used && !network_in_use(net))
        network_step(net, EV_LAST_LEFT, NULL);
    else if (!used && network_in_use(net))
        network_step(net, EV_IN_USE, NULL);
    registry_changed(reg);
}

void registry_lost(struct registry *reg, const char *name, const struct failure *failure)
{
    struct network *net = registry_find(reg, name);
    if (!net)
        return;
    log_error("network '%s': lost, with %u clients: %s", name, net->clients,
              failure ? failure->why : "the backend does not say why");
    network_drop_handle(net);
    net->interfaces = 0;
    net->lost = net->state == NET_REMOVING;
    if (!net->lost)
        reg->events.gone(reg->events.arg, name, failure);
    network_step(net, EV_LOST, NULL);
    registry_changed(reg);
}
