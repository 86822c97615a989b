/* SPDX-License-Identifier: Apache-2.0 */
/* detour.c - see detour.h.
 *
 * An ifb device without checksum offload: whatever is redirected to it is completed as it
 * leaves, and received again where it came from. The filters that redirect belong to a block
 * which the ports of a network share, so that a new one has to say no more than that it joins.
 * A block lives as long as somebody shares it; the device does so, although nothing ever
 * comes in by it, and lives as long as the network.
 */
#include "detour.h"

#include "mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#define DETOUR_FRAMES 1000u /* in a queue; it has 32 by default */
#define DETOUR_QUEUES 8u    /* each is worked off by one CPU at a time */

/* A packet whose word at `offset` has none of these bits is short enough. */
struct short_packets {
    uint16_t ether_type;
    int offset;
    uint32_t bits;
};

static struct nl_msg *tc_message(int type, const struct tcmsg *head, const char *kind)
{
    struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);

    if (!msg)
        return NULL;
    if (nlmsg_append(msg, (void *)(uintptr_t)head, sizeof *head, NLMSG_ALIGNTO) < 0 ||
        nla_put_string(msg, TCA_KIND, kind) < 0) {
        nlmsg_free(msg);
        return NULL;
    }
    return msg;
}

int detour_join(struct link_ctx *links, int ifindex, uint32_t group)
{
    const struct tcmsg head = { .tcm_family = AF_UNSPEC,
                                .tcm_ifindex = ifindex,
                                .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0),
                                .tcm_parent = TC_H_CLSACT };
    struct nl_msg *msg = tc_message(RTM_NEWQDISC, &head, "clsact");
    int r = link_request(links, msg, msg && nla_put_u32(msg, TCA_INGRESS_BLOCK, group) < 0);

    return r == -EEXIST ? 0 : r;
}

/* action { 1 { kind, options { parms } } } */
static bool put_redirect(struct nl_msg *msg, int ifindex)
{
    const struct tc_mirred parms = { .action = TC_ACT_STOLEN,
                                     .eaction = TCA_EGRESS_REDIR,
                                     .ifindex = (uint32_t)ifindex };
    struct nlattr *actions = nla_nest_start(msg, TCA_U32_ACT);
    struct nlattr *action = actions ? nla_nest_start(msg, 1) : NULL;
    struct nlattr *options = NULL;
    bool bad = !action || nla_put_string(msg, TCA_ACT_KIND, "mirred") < 0;

    if (!bad)
        options = nla_nest_start(msg, TCA_ACT_OPTIONS);
    bad |= !options || nla_put(msg, TCA_MIRRED_PARMS, sizeof parms, &parms) < 0;
    if (bad)
        return true;
    nla_nest_end(msg, options);
    nla_nest_end(msg, action);
    nla_nest_end(msg, actions);
    return false;
}

static int add_filter(struct link_ctx *links, uint32_t group, uint32_t priority, int device,
                      const struct short_packets *which)
{
    const struct tcmsg head = { .tcm_family = AF_UNSPEC,
                                .tcm_ifindex = (int)TCM_IFINDEX_MAGIC_BLOCK,
                                .tcm_block_index = group,
                                .tcm_info = TC_H_MAKE(priority << 16, htons(which->ether_type)) };
    _Alignas(struct tc_u32_sel)
        uint8_t match[sizeof(struct tc_u32_sel) + sizeof(struct tc_u32_key)] = { 0 };
    struct tc_u32_sel *sel = (struct tc_u32_sel *)match;
    struct nl_msg *msg = tc_message(RTM_NEWTFILTER, &head, "u32");
    struct nlattr *options = msg ? nla_nest_start(msg, TCA_OPTIONS) : NULL;
    bool bad = !options;

    sel->flags = TC_U32_TERMINAL;
    sel->nkeys = 1;
    sel->keys[0] = (struct tc_u32_key){ .mask = htonl(which->bits), .off = which->offset };
    bad = bad || nla_put(msg, TCA_U32_SEL, sizeof match, match) < 0;
    bad = bad || put_redirect(msg, device);
    if (options)
        nla_nest_end(msg, options);
    return link_request(links, msg, bad);
}

/* The length in an IP header counts: one that lies was refused by the frame filter, and
 * what is longer than the MTU, and not to be cut up, is refused by the bridge. */
static int add_filters(struct link_ctx *links, uint32_t group, int device, unsigned mtu)
{
    uint32_t below = 1, bits;
    int r = 0;

    while (below <= mtu && below < 0x10000)
        below *= 2;
    bits = 0xffff & ~(below - 1);
    const struct short_packets which[] = {
        { ETH_P_ARP, 0, 0 },
        { ETH_P_IP, 0, bits },         /* version, type of service, total length */
        { ETH_P_IPV6, 4, bits << 16 }, /* payload length, next header, hop limit */
    };
    for (uint32_t i = 0; r == 0 && i < N_ELEMENTS(which); i++)
        r = add_filter(links, group, i + 1, device, &which[i]);
    return r;
}

static int set_up(struct link_ctx *links, const char *name, uint32_t group, unsigned mtu)
{
    int device = link_index(links, name);
    int r = device < 0 ? device : detour_join(links, device, group);

    if (r == 0)
        r = add_filters(links, group, device, mtu);
    if (r == 0)
        r = link_refuse_checksums(links, name);
    return r < 0 ? r : link_set_up(links, name);
}

int detour_make(struct link_ctx *links, const char *name, uint32_t group, unsigned mtu)
{
    int r = link_add_ifb(links, name, group, DETOUR_FRAMES, DETOUR_QUEUES);

    if (r < 0)
        return r == -EEXIST ? 0 : r;
    r = set_up(links, name, group, mtu);
    if (r < 0)
        (void)link_delete(links, name);
    return r;
}
