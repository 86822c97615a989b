/* SPDX-License-Identifier: Apache-2.0 */
/* detour.c - see detour.h.
 *
 * An ifb device without checksum offload: whatever is redirected to it is completed as it
 * leaves, and received again where it came from. The filters that redirect belong to a
 * block which the ports of a network share, so that one message begins or ends the detour
 * for all of them.
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

#define DETOUR_LINK   "detour"
#define DETOUR_FRAMES 1000u /* in its queue; it has 32 by default */

/* A packet whose word at `offset` has none of these bits is short enough. */
struct short_packets {
    uint16_t ether_type;
    int offset;
    uint32_t bits;
};

static struct nl_msg *tc_message(int type, int flags, const struct tcmsg *head, const char *kind)
{
    struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

    if (!msg)
        return NULL;
    if (nlmsg_append(msg, (void *)(uintptr_t)head, sizeof *head, NLMSG_ALIGNTO) < 0 ||
        (kind && nla_put_string(msg, TCA_KIND, kind) < 0)) {
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
    struct nl_msg *msg = tc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &head, "clsact");
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

static int add_filter(struct link_ctx *links, uint32_t group, uint32_t priority, int ifindex,
                      const struct short_packets *which)
{
    const struct tcmsg head = { .tcm_family = AF_UNSPEC,
                                .tcm_ifindex = (int)TCM_IFINDEX_MAGIC_BLOCK,
                                .tcm_block_index = group,
                                .tcm_info = TC_H_MAKE(priority << 16, htons(which->ether_type)) };
    _Alignas(struct tc_u32_sel)
        uint8_t match[sizeof(struct tc_u32_sel) + sizeof(struct tc_u32_key)] = { 0 };
    struct tc_u32_sel *sel = (struct tc_u32_sel *)match;
    struct nl_msg *msg = tc_message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &head, "u32");
    struct nlattr *options = msg ? nla_nest_start(msg, TCA_OPTIONS) : NULL;
    bool bad = !options;

    sel->flags = TC_U32_TERMINAL;
    sel->nkeys = 1;
    sel->keys[0] = (struct tc_u32_key){ .mask = htonl(which->bits), .off = which->offset };
    bad = bad || nla_put(msg, TCA_U32_SEL, sizeof match, match) < 0;
    bad = bad || put_redirect(msg, ifindex);
    if (options)
        nla_nest_end(msg, options);
    return link_request(links, msg, bad);
}

/* The device, once. */
static int device(struct link_ctx *links)
{
    int r = link_index(links, DETOUR_LINK);

    if (r >= 0)
        return r;
    r = link_add_ifb(links, DETOUR_LINK, DETOUR_FRAMES);
    if (r == 0)
        r = link_refuse_checksums(links, DETOUR_LINK);
    if (r == 0)
        r = link_set_up(links, DETOUR_LINK);
    if (r < 0) {
        (void)link_delete(links, DETOUR_LINK);
        return r;
    }
    return link_index(links, DETOUR_LINK);
}

/* The length in an IP header counts: one that lies was refused by the frame filter, and
 * what is longer than the MTU, and not to be cut up, is refused by the bridge. */
int detour_begin(struct link_ctx *links, uint32_t group, unsigned mtu)
{
    uint32_t below = 1, bits;
    int ifindex = device(links), r = ifindex < 0 ? ifindex : 0;

    detour_end(links, group); /* of an earlier life */
    while (below <= mtu && below < 0x10000)
        below *= 2;
    bits = 0xffff & ~(below - 1);
    const struct short_packets which[] = {
        { ETH_P_ARP, 0, 0 },
        { ETH_P_IP, 0, bits },         /* version, type of service, total length */
        { ETH_P_IPV6, 4, bits << 16 }, /* payload length, next header, hop limit */
    };
    for (uint32_t i = 0; r == 0 && i < N_ELEMENTS(which); i++)
        r = add_filter(links, group, i + 1, ifindex, &which[i]);
    if (r < 0)
        detour_end(links, group);
    return r;
}

void detour_end(struct link_ctx *links, uint32_t group)
{
    const struct tcmsg head = { .tcm_family = AF_UNSPEC,
                                .tcm_ifindex = (int)TCM_IFINDEX_MAGIC_BLOCK,
                                .tcm_block_index = group };

    (void)link_request(links, tc_message(RTM_DELTFILTER, 0, &head, NULL), false);
}
