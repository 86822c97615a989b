/* SPDX-License-Identifier: Apache-2.0 */
/* router.c - what changes in the router's rules (router_rules.c) as networks and uplinks come, go
 * and change: elements of sets, and the few chains that are rewritten. Each change is one
 * transaction.
 */
#include "router.h"

#include "addr.h"
#include "names.h"
#include "nft_text.h"

#include <string.h>

/* Removing an element that is not there fails a whole transaction, adding one that
 * is there does not: so what is to be removed is added first. */
static void add_element(struct nft_text *t, bool remove, const char *set, const char *bridge,
                        const char *key)
{
    nft_text_add(t, "add element inet vmnet %s { \"%s\"%s }\n", set, bridge, key);
    if (remove)
        nft_text_add(t, "delete element inet vmnet %s { \"%s\"%s }\n", set, bridge, key);
}

static void add_gateways(struct nft_text *t, bool remove, const char *bridge,
                         const struct netd_network *net)
{
    char key[3 + ADDR6_TEXT] = " . ";

    if (net->ipv4_prefix > 0) {
        struct subnet4 subnet = { net->ipv4_base, net->ipv4_prefix };
        addr4_format(subnet4_gateway(subnet), key + 3);
        add_element(t, remove, "gateways4", bridge, key);
    }
    if (net->ipv6_len > 0) {
        struct prefix6 prefix = { .len = net->ipv6_len };
        uint8_t gateway[16];
        memcpy(prefix.addr, net->ipv6, sizeof prefix.addr);
        prefix6_gateway(&prefix, gateway);
        addr6_format(gateway, key + 3);
        add_element(t, remove, "gateways6", bridge, key);
    }
}

/* Out, and back in. */
static void add_way(struct nft_text *t, bool remove, uint32_t index, unsigned slot,
                    const char *protocol)
{
    const uint32_t network = group_of(index), uplink = uplink_group(slot);

    nft_text_add(t,
                 "add element inet vmnet ways { %u . %u . %s : goto leaving%u,\n"
                 "  %u . %u . %s : goto arriving }\n"
                 "add element inet vmnet open { %u . %s }\n",
                 network, uplink, protocol, slot, uplink, network, protocol, network, protocol);
    if (remove)
        nft_text_add(t,
                     "delete element inet vmnet ways { %u . %u . %s, %u . %u . %s }\n"
                     "delete element inet vmnet open { %u . %s }\n",
                     network, uplink, protocol, uplink, network, protocol, network, protocol);
}

static void add_ways(struct nft_text *t, bool remove, uint32_t index, const struct way_out *way,
                     const struct netd_network *net)
{
    if (net->mode != NET_MODE_SHARED)
        return;
    if (net->flags & NETD_NET_NAT44)
        add_way(t, remove, index, way->slot4, "ipv4");
    if (net->flags & NETD_NET_NAT66)
        add_way(t, remove, index, way->slot6, "ipv6");
}

static int change_network(struct nft *nft, bool remove, uint32_t index, const struct way_out *way,
                          const struct netd_network *net)
{
    struct nft_text t = { .len = 0 };
    char bridge[IFNAMSIZ];

    bridge_name(index, bridge);
    add_element(&t, remove, "bridges", bridge, "");
    add_gateways(&t, remove, bridge, net);
    add_ways(&t, remove, index, way, net);
    /* What its guests have used of their shares; others' begin anew, which does no harm. */
    if (remove)
        nft_text_add(&t, "flush set inet vmnet asking\nflush set inet vmnet leasing\n"
                         "flush set inet vmnet denied_questions\n"
                         "flush set inet vmnet denied_flows\n");
    return nft_text_run(&t, nft);
}

int router_add_network(struct nft *nft, uint32_t index, const struct way_out *way,
                       const struct netd_network *net)
{
    return change_network(nft, false, index, way, net);
}

int router_remove_network(struct nft *nft, uint32_t index, const struct way_out *way,
                          const struct netd_network *net)
{
    return change_network(nft, true, index, way, net);
}

int router_turn_network(struct nft *nft, uint32_t index, const struct way_out *from,
                        const struct way_out *to, const struct netd_network *net)
{
    struct nft_text t = { .len = 0 };

    add_ways(&t, true, index, from, net);
    add_ways(&t, false, index, to, net);
    return nft_text_run(&t, nft);
}

/* Before conntrack puts fragments together, and the way out cuts them up again. */
static const char early_text[] =
    "table inet vmnet {\n"
    "  chain early { type filter hook prerouting priority -450; }\n"
    "}\n"
    "flush chain inet vmnet early\n"
    "add rule inet vmnet early ip frag-off & 0x3fff != 0 iifname @bridges "
    "iifname . ip daddr != @gateways4 meta mark set " FRAGMENTS_MARK_TEXT "\n";

static void add_rule(struct nft_text *t, const char *chain, unsigned slot, const char *rule)
{
    nft_text_add(t, "add rule inet vmnet %s%u %s\n", chain, slot, rule);
}

/* Whoever begins a connection begins it with this engine, also where conntrack remembers one of
 * the same ports: a guest that was reset says nothing of its connections, and conntrack keeps
 * them for five days. */
int router_set_generation(struct nft *nft, unsigned slot, uint32_t gen)
{
    struct nft_text t = { .len = 0 };
    char rule[96];

    nft_text_add(&t, "flush chain inet vmnet generation%u\n", slot);
    (void)snprintf(rule, sizeof rule, "ct mark %u return", gen);
    add_rule(&t, "generation", slot, rule);
    /* In the middle of a connection of another engine, or one that conntrack does not know. */
    add_rule(&t, "generation", slot,
             "tcp flags & (fin | syn | rst | ack) != syn reject with tcp reset");
    (void)snprintf(rule, sizeof rule, "ct mark set %u", gen);
    add_rule(&t, "generation", slot, rule);
    return nft_text_run(&t, nft);
}

int router_set_reach(struct nft *nft, unsigned slot, bool ipv4, bool ipv6)
{
    struct nft_text t = { .len = 0 };

    nft_text_add(&t, "flush chain inet vmnet unreachable%u\n", slot);
    if (!ipv4)
        add_rule(&t, "unreachable", slot, "meta nfproto ipv4 reject with icmp net-unreachable");
    if (!ipv6)
        add_rule(&t, "unreachable", slot, "meta nfproto ipv6 reject with icmpv6 no-route");
    return nft_text_run(&t, nft);
}

int router_set_limits(struct nft *nft, unsigned slot, bool fragments, bool icmpv6)
{
    struct nft_text t = { .len = 0 };

    nft_text_add(&t, "flush chain inet vmnet limits%u\n", slot);
    if (!fragments) {
        nft_text_add(&t, "%s", early_text);
        add_rule(&t, "limits", slot, "meta mark " FRAGMENTS_MARK_TEXT " drop");
    }
    if (!icmpv6)
        add_rule(&t, "limits", slot, "meta l4proto icmpv6 reject with icmpv6 admin-prohibited");
    return nft_text_run(&t, nft);
}

bool router_can_keep_sources(struct nft *nft)
{
    return nft_accepts(nft, "table inet vmnet_probe {\n"
                            "  chain forwarded { socket transparent 1 meta mark set 1; }\n"
                            "}\n"
                            "delete table inet vmnet_probe\n");
}

int router_keep_sources(struct nft *nft, bool keep)
{
    static const char hook[] = "add chain inet vmnet forwarded { type filter hook prerouting "
                               "priority mangle; }\n";
    return nft_run(nft, "%s%s", hook,
                   keep ? "flush chain inet vmnet forwarded\n"
                          "add rule inet vmnet forwarded iifname @bridges socket transparent 1 "
                          "meta mark set " FORWARDED_MARK_TEXT "\n"
                        : "delete chain inet vmnet forwarded\n");
}
