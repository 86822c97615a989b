/* SPDX-License-Identifier: Apache-2.0 */
/* network_stats.c - what can be told of networks and their ports in numbers, when somebody asks. */
#include "network.h"

#include "filter.h"
#include "router.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void note_drops(void *arg, const char *tap, uint64_t packets)
{
    struct networks *all = arg;
    unsigned index, k;
    struct port *port;

    if (sscanf(tap, "vt%u.%u", &index, &k) != 2 || index >= NETWORKS_MAX || !all->at[index])
        return;
    port = port_find(all->at[index], tap);
    if (port)
        port->dropped = packets;
}

static void note_denied(struct networks *all, const char *bridge, const struct mac *mac,
                        enum router_denied what, uint64_t packets)
{
    unsigned index;

    if (sscanf(bridge, "vb%u", &index) != 1 || index >= NETWORKS_MAX || !all->at[index])
        return;
    for (struct port *p = all->at[index]->ports; p; p = p->next)
        if (memcmp(p->interface.mac, mac->b, sizeof mac->b) == 0)
            p->denied[what] = packets;
}

static void note_questions(void *arg, const char *bridge, const struct mac *mac, uint64_t packets)
{
    note_denied(arg, bridge, mac, DENIED_QUESTIONS, packets);
}

static void note_flows(void *arg, const char *bridge, const struct mac *mac, uint64_t packets)
{
    note_denied(arg, bridge, mac, DENIED_FLOWS, packets);
}

/* Who is not in the lists any more has not been denied anything for a while. */
static void forget_denied(struct networks *all)
{
    FOREACH_NETWORK(net, all)
    for (struct port *p = net->ports; p; p = p->next)
        memset(p->denied, 0, sizeof p->denied);
}

static int look_at_rules(struct networks *all)
{
    int r = filter_drops(all->tools.nft, note_drops, all);

    forget_denied(all);
    if (r == 0)
        r = router_denied(all->tools.nft, DENIED_QUESTIONS, note_questions, all);
    if (r == 0)
        r = router_denied(all->tools.nft, DENIED_FLOWS, note_flows, all);
    return r;
}

static_assert((unsigned)HOSTSIDE_IPV4 == NETD_IPV4 && (unsigned)HOSTSIDE_IPV6 == NETD_IPV6,
              "the broker knows families by the same numbers");

static void tell_stats(const struct network *net,
                       void (*each)(void *arg, const struct netd_stats *), void *arg)
{
    struct netd_stats itself = { .host = net->host };

    memcpy(itself.network, net->def.name, sizeof itself.network);
    each(arg, &itself);
    for (const struct port *p = net->ports; p; p = p->next) {
        struct netd_stats stats = { .dropped = p->dropped,
                                    .denied_questions = p->denied[DENIED_QUESTIONS],
                                    .denied_flows = p->denied[DENIED_FLOWS] };
        struct link_counters seen;

        if (link_stats(net->all->tools.links, p->interface.tap, &seen) < 0)
            continue; /* it has just gone; we shall hear of it */
        memcpy(stats.network, p->interface.network, sizeof stats.network);
        memcpy(stats.tap, p->interface.tap, sizeof stats.tap);
        stats.rx_bytes = seen.tx_bytes; /* what we send is what the VM receives */
        stats.tx_bytes = seen.rx_bytes;
        stats.rx_packets = seen.tx_packets;
        stats.tx_packets = seen.rx_packets;
        each(arg, &stats);
    }
}

int networks_stats(struct networks *all, void (*each)(void *arg, const struct netd_stats *),
                   void *arg, struct netd_why *why)
{
    int r = look_at_rules(all);

    if (r < 0)
        return why_failed(why, r, "cannot read the rules' counters");
    FOREACH_NETWORK(net, all)
    tell_stats(net, each, arg);
    return 0;
}
