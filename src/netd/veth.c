/* SPDX-License-Identifier: Apache-2.0 */
/* veth.c - see veth.h. As `ip link add NAME mtu N type veth peer name PEER netns THERE` does. */
#include "veth.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

/* One end: as it is called, with its MAC and MTU. */
static bool put_end(struct nl_msg *msg, const char *name, const struct mac *mac, unsigned mtu)
{
    bool bad = nla_put_string(msg, IFLA_IFNAME, name) < 0;

    if (mac)
        bad |= nla_put(msg, IFLA_ADDRESS, sizeof mac->b, mac->b) < 0;
    return bad || nla_put_u32(msg, IFLA_MTU, mtu) < 0;
}

/* { kind, data { peer { head, its end, the namespace } } } */
static bool put_veth(struct nl_msg *msg, const struct veth *veth)
{
    struct ifinfomsg head = { .ifi_family = AF_UNSPEC };
    struct nlattr *info = nla_nest_start(msg, IFLA_LINKINFO);
    bool bad = !info || nla_put_string(msg, IFLA_INFO_KIND, "veth") < 0;
    struct nlattr *data = bad ? NULL : nla_nest_start(msg, IFLA_INFO_DATA);
    struct nlattr *end = data ? nla_nest_start(msg, VETH_INFO_PEER) : NULL;

    if (!end || nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO) < 0)
        return true;
    bad |= put_end(msg, veth->peer, veth->peer_mac, veth->mtu);
    bad |= nla_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)veth->netns) < 0;
    nla_nest_end(msg, end);
    nla_nest_end(msg, data);
    nla_nest_end(msg, info);
    return bad;
}

int veth_add(struct link_ctx *links, const struct veth *veth)
{
    struct ifinfomsg head = { .ifi_family = AF_UNSPEC };
    struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
    bool bad;

    if (!msg)
        return -ENOMEM;
    bad = nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO) < 0;
    bad |= put_end(msg, veth->name, veth->mac, veth->mtu);
    bad |= put_veth(msg, veth);
    return link_request(links, msg, bad);
}
