/* SPDX-License-Identifier: Apache-2.0 */
/* networks_share.c - what several networks have together: the relay for names, and the uplinks.
 *
 * Nobody counts who needs them. After every change we look through all networks again, and what
 * one of them needs runs, what none does is stopped: a sum that is made anew cannot be wrong.
 */
#include "network.h"

#include <errno.h>
#include <string.h>

static bool wants_names(const struct netd_network *def)
{
    return def->flags & NETD_NET_DNS;
}

static bool wants_relay(const struct netd_network *def)
{
    return wants_names(def) && def->n_dns_servers == 0;
}

static bool any_wants(const struct networks *all, bool (*wants)(const struct netd_network *def))
{
    FOREACH_NETWORK(net, all)
    if (wants(&net->def))
        return true;
    return false;
}

/* Any network that leaves by this uplink; NULL: none. */
static const struct network *first_on(const struct networks *all, unsigned slot)
{
    FOREACH_NETWORK(net, all)
    if ((net->way.slot4 == slot || net->way.slot6 == slot) && network_wants_uplink(&net->def))
        return net;
    return NULL;
}

/* What went wrong the uplink has said, and tells the broker. */
static void share_uplink(struct networks *all, unsigned slot)
{
    const struct network *net = first_on(all, slot);

    if (net)
        (void)uplinks_start(all->tools.uplinks, slot, net->def.external_interface);
    else
        uplinks_stop(all->tools.uplinks, slot);
}

static void share_kernel(struct networks *all)
{
    bool wanted = false;

    FOREACH_NETWORK(net, all)
    wanted |= network_wants_kernel(net);
    if (wanted)
        kernel_uplink_start(all->kernel);
    else if (all->kernel)
        kernel_uplink_stop(all->kernel);
}

void networks_share(struct networks *all)
{
    if (any_wants(all, wants_relay))
        dns_relay_want(&all->relay);
    else
        dns_relay_stop(&all->relay);
    FOREACH_NETWORK(net, all)
    if (wants_names(&net->def) && !wants_relay(&net->def))
        dns_relay_want(&net->relay);
    for (unsigned slot = 0; slot < UPLINKS_MAX; slot++)
        share_uplink(all, slot);
    share_kernel(all);
}

int networks_find_slot(const struct networks *all, const char *interface, unsigned *ret)
{
    for (unsigned slot = interface[0] ? 1 : 0; slot < UPLINKS_MAX; slot++) {
        const struct network *net = first_on(all, slot);

        if (slot == 0 || !net || strcmp(net->def.external_interface, interface) == 0) {
            *ret = slot;
            return 0;
        }
    }
    return -EDQUOT;
}
