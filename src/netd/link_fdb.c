/* SPDX-License-Identifier: Apache-2.0 */
/* link_fdb.c - whom a bridge knows, and what becomes of frames for others; see link.h. */
#include "link.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

int link_refuse_floods(struct link_ctx *ctx, int index)
{
    const struct ifinfomsg port = { .ifi_family = AF_BRIDGE, .ifi_index = index };
    struct nl_msg *msg = nlmsg_alloc_simple(RTM_SETLINK, NLM_F_REQUEST);
    struct nlattr *info;
    bool bad;

    if (!msg)
        return -ENOMEM;
    bad = nlmsg_append(msg, (void *)(uintptr_t)&port, sizeof port, NLMSG_ALIGNTO) < 0;
    info = bad ? NULL : nla_nest_start(msg, IFLA_PROTINFO | NLA_F_NESTED);
    bad = !info || nla_put_u8(msg, IFLA_BRPORT_UNICAST_FLOOD, 0) < 0;
    if (info)
        nla_nest_end(msg, info);
    return link_request(ctx, msg, bad);
}

int link_pin_mac(struct link_ctx *ctx, int index, const uint8_t mac[static 6])
{
    const struct ndmsg head = { .ndm_family = AF_BRIDGE,
                                .ndm_ifindex = index,
                                .ndm_state = NUD_NOARP, /* it does not age */
                                .ndm_flags = NTF_MASTER };
    struct nl_msg *msg =
        nlmsg_alloc_simple(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE);
    bool bad;

    if (!msg)
        return -ENOMEM;
    bad = nlmsg_append(msg, (void *)(uintptr_t)&head, sizeof head, NLMSG_ALIGNTO) < 0;
    bad |= nla_put(msg, NDA_LLADDR, 6, mac) < 0;
    return link_request(ctx, msg, bad);
}
