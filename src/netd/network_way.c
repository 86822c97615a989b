/* SPDX-License-Identifier: Apache-2.0 */
/* network_way.c - by which uplinks a network leaves, and what its clients are told of them.
 *
 * In a user instance, where a definition says "user", and where it has chosen an interface of
 * the host's, that is an engine's. Else it is the kernel's, for each family as long as the host
 * lets it pass; IPv6 has an engine where it does not, and so has IPv4 unless the definition says
 * "kernel". Who has VMs and was turned to an engine stays there: every turn costs connections.
 */
#include "network.h"

#include "log.h"
#include "router.h"
#include "str.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

bool network_wants_uplink(const struct netd_network *def)
{
    return def->mode == NET_MODE_SHARED && (def->flags & (NETD_NET_NAT44 | NETD_NET_NAT66));
}

bool network_wants_kernel(const struct network *net)
{
    return net->all->kernel && network_wants_uplink(&net->def) && net->def.uplink != UPLINK_USER &&
           net->def.external_interface[0] == '\0';
}

/* ---- choosing ------------------------------------------------------------------------ */

static unsigned choose_slot(const struct network *net, int family, unsigned now)
{
    bool kernel_only = net->def.uplink == UPLINK_KERNEL && family == AF_INET;

    if (kernel_uplink_way(net->all->kernel, family) == KERNEL_BLOCKED && !kernel_only)
        return 0;
    return now == 0 && net->routed && net->ports ? 0 : KERNEL_SLOT;
}

static int choose(const struct network *net, struct way_out *ret, struct netd_why *why)
{
    const char *interface = net->def.external_interface;
    unsigned slot;
    int r;

    if (network_wants_kernel(net)) {
        ret->slot4 = choose_slot(net, AF_INET, net->way.slot4);
        ret->slot6 = choose_slot(net, AF_INET6, net->way.slot6);
        return 0;
    }
    r = networks_find_slot(net->all, interface, &slot);
    if (r < 0)
        return why_refused(why, r,
                           "network '%s': networks leave by %u interfaces of the host's already, "
                           "and not by '%s'",
                           net->def.name, UPLINKS_MAX - 1, interface);
    *ret = (struct way_out){ slot, slot };
    return 0;
}

int network_choose_way(struct network *net, struct netd_why *why)
{
    int r = choose(net, &net->way, why);

    if (r < 0)
        return r;
    r = way_out_add(net->all->tools.links, net->all->tools.main_slot, net->bridge, &net->way);
    return r < 0 ? why_failed(why, r, "network '%s': cannot route it out", net->def.name) : 0;
}

/* ---- turning ------------------------------------------------------------------------- */

static const char *name_of(unsigned slot)
{
    return slot == KERNEL_SLOT ? "the kernel" : "an engine";
}

static void turn(struct network *net, const struct way_out *to)
{
    struct networks *all = net->all;
    int r = way_out_add(all->tools.links, all->tools.main_slot, net->bridge, to);

    if (r == 0)
        r = router_turn_network(all->tools.nft, net->index, &net->way, to, &net->def);
    if (r < 0) {
        (void)log_failure(r, "network '%s': cannot turn it to another uplink", net->def.name);
        return;
    }
    way_out_remove(all->tools.links, all->tools.main_slot, net->bridge, &net->way, to);
    net->way = *to;
    log_info("network '%s': IPv4 leaves by %s, IPv6 by %s", net->def.name, name_of(to->slot4),
             name_of(to->slot6));
}

void network_turn(struct network *net)
{
    struct netd_why ignored = { 0 };
    struct way_out to;

    if (net->routed && network_wants_kernel(net) && choose(net, &to, &ignored) == 0 &&
        (to.slot4 != net->way.slot4 || to.slot6 != net->way.slot6))
        turn(net, &to);
}

/* ---- telling ------------------------------------------------------------------------- */

/* One family's. NULL: the host has none of it at all. */
static const char *state_of(const struct network *net, int family, unsigned slot,
                            char text[static NETD_WHY_SIZE])
{
    const struct networks *all = net->all;
    enum kernel_way way = kernel_uplink_way(all->kernel, family);

    if (way == KERNEL_NO_ROUTE)
        return NULL;
    if (slot != KERNEL_SLOT) {
        const struct uplink *uplink = uplinks_at(all->tools.uplinks, slot);
        const char *state = uplink ? uplink_state(uplink) : "checking";

        return strcmp(state, "none") == 0 ? "checking" : state;
    }
    if (way != KERNEL_BLOCKED)
        return way == KERNEL_OPEN ? "ok" : "checking";
    (void)snprintf(text, NETD_WHY_SIZE, "failed: %s", kernel_uplink_why(all->kernel, family));
    return text;
}

static void compose_state(const struct network *net, char ret[static NETD_WHY_SIZE])
{
    char text4[NETD_WHY_SIZE], text6[NETD_WHY_SIZE];
    const char *four = NULL, *six = NULL;

    if (net->def.flags & NETD_NET_NAT44)
        four = state_of(net, AF_INET, net->way.slot4, text4);
    if (net->def.flags & NETD_NET_NAT66)
        six = state_of(net, AF_INET6, net->way.slot6, text6);
    if (!four && !six)
        (void)str_copy(ret, NETD_WHY_SIZE, "failed: the host has no default route");
    else if (four && (!six || strcmp(four, "ok") != 0 || strcmp(six, "checking") == 0))
        (void)str_copy(ret, NETD_WHY_SIZE, four);
    else
        (void)str_copy(ret, NETD_WHY_SIZE, six);
}

/* What keeps it from the kernel's way: also where an engine helps out. */
static void compose_note(const struct network *net, char ret[static NETD_WHY_SIZE])
{
    const char *four = kernel_uplink_why(net->all->kernel, AF_INET);
    const char *six = kernel_uplink_why(net->all->kernel, AF_INET6);

    (void)str_copy(ret, NETD_WHY_SIZE, kernel_uplink_overlap(net->all->kernel));
    if (*ret)
        return;
    if (*four)
        (void)snprintf(ret, NETD_WHY_SIZE, "no kernel uplink: %.*s", NETD_WHY_SIZE - 32, four);
    else if (*six)
        (void)snprintf(ret, NETD_WHY_SIZE, "no kernel uplink for IPv6: %.*s", NETD_WHY_SIZE - 32,
                       six);
    else
        (void)str_copy(ret, NETD_WHY_SIZE, kernel_uplink_host(net->all->kernel));
}

static const char *engine_of_way(const struct network *net)
{
    const struct uplink *uplink = uplinks_at(net->all->tools.uplinks, 0);

    if (net->way.slot4 == KERNEL_SLOT)
        return "kernel";
    return uplink ? uplink_engine(uplink) : "none";
}

void network_tell_way(struct network *net, bool again)
{
    const struct network_events *events = &net->all->events;
    struct netd_uplink body = { .engine = "" };

    if (!network_wants_kernel(net) || !net->serves)
        return;
    (void)str_copy(body.network, sizeof body.network, net->def.name);
    compose_state(net, body.state);
    compose_note(net, body.note);
    (void)str_copy(body.engine, sizeof body.engine, engine_of_way(net));
    if (!again && memcmp(&body, &net->told, sizeof body) == 0)
        return;
    net->told = body;
    events->way(events->arg, &body);
}

void networks_tell_ways(const struct networks *all, bool again)
{
    FOREACH_NETWORK(net, all)
    network_tell_way(net, again);
}
