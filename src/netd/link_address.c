/* SPDX-License-Identifier: Apache-2.0 */
/* link_address.c - addresses, neighbours and routes that lead by a link; see link.h. */
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <string.h>

static int change_address(struct link_ctx *ctx, int type, const char *name,
                          const struct ifaddrmsg *head, const void *addr, size_t len)
{
    struct ifaddrmsg info = *head;
    int index = link_index(ctx, name);
    struct nl_msg *msg;
    bool bad;

    if (index < 0)
        return index;
    info.ifa_index = (unsigned)index;
    msg = nlmsg_alloc_simple(type,
                             NLM_F_REQUEST | (type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0));
    if (!msg)
        return -ENOMEM;
    bad = nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO) < 0;
    bad |= nla_put(msg, IFA_LOCAL, (int)len, addr) < 0;
    bad |= nla_put(msg, IFA_ADDRESS, (int)len, addr) < 0;
    return link_request(ctx, msg, bad);
}

static int change_addr4(struct link_ctx *ctx, int type, const char *name, uint32_t addr,
                        unsigned prefix)
{
    const struct ifaddrmsg head = { .ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)prefix };
    uint32_t wire = htonl(addr);

    return change_address(ctx, type, name, &head, &wire, sizeof wire);
}

static int change_addr6(struct link_ctx *ctx, int type, const char *name, const uint8_t addr[16],
                        unsigned len)
{
    const struct ifaddrmsg head = { .ifa_family = AF_INET6,
                                    .ifa_prefixlen = (uint8_t)len,
                                    .ifa_flags = IFA_F_NODAD };

    return change_address(ctx, type, name, &head, addr, 16);
}

int link_add_addr4(struct link_ctx *ctx, const char *name, uint32_t addr, unsigned prefix)
{
    return change_addr4(ctx, RTM_NEWADDR, name, addr, prefix);
}

int link_add_addr6(struct link_ctx *ctx, const char *name, const uint8_t addr[16], unsigned len)
{
    return change_addr6(ctx, RTM_NEWADDR, name, addr, len);
}

int link_delete_addr4(struct link_ctx *ctx, const char *name, uint32_t addr, unsigned prefix)
{
    return change_addr4(ctx, RTM_DELADDR, name, addr, prefix);
}

int link_delete_addr6(struct link_ctx *ctx, const char *name, const uint8_t addr[16], unsigned len)
{
    return change_addr6(ctx, RTM_DELADDR, name, addr, len);
}

static struct nl_msg *neighbour_message(int type, int flags, const struct ndmsg *info,
                                        const struct address *who)
{
    const uint32_t wire4 = htonl(who->v4);
    struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

    if (!msg)
        return NULL;
    if (nlmsg_append(msg, (void *)(uintptr_t)info, sizeof *info, NLMSG_ALIGNTO) < 0 ||
        (who->version == 4 ? nla_put(msg, NDA_DST, sizeof wire4, &wire4)
                           : nla_put(msg, NDA_DST, sizeof who->v6, who->v6)) < 0) {
        nlmsg_free(msg);
        return NULL;
    }
    return msg;
}

struct neighbour_query {
    struct mac mac;
    bool is; /* it has this MAC for good */
};

static int on_neighbour(struct nl_msg *msg, void *arg)
{
    struct neighbour_query *query = arg;
    const struct ndmsg *info = nlmsg_data(nlmsg_hdr(msg));
    const struct nlattr *mac = nlmsg_find_attr(nlmsg_hdr(msg), sizeof *info, NDA_LLADDR);

    query->is = (info->ndm_state & NUD_PERMANENT) && mac &&
                nla_len(mac) == (int)sizeof query->mac.b &&
                memcmp(nla_data(mac), query->mac.b, sizeof query->mac.b) == 0;
    return NL_OK;
}

int link_keep_neighbour(struct link_ctx *ctx, const char *name, const struct address *who,
                        struct mac mac)
{
    struct ndmsg info = { .ndm_family = who->version == 4 ? AF_INET : AF_INET6 };
    struct neighbour_query query = { .mac = mac };
    struct nl_msg *msg;
    int r = link_index(ctx, name);

    if (r < 0)
        return r;
    info.ndm_ifindex = r;
    msg = neighbour_message(RTM_GETNEIGH, 0, &info, who);
    r = link_ask(ctx, msg, false, on_neighbour, &query);
    if (query.is || (r < 0 && r != -ENOENT))
        return r;
    info.ndm_state = NUD_PERMANENT;
    msg = neighbour_message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &info, who);
    r = link_request(ctx, msg, msg && nla_put(msg, NDA_LLADDR, sizeof mac.b, mac.b) < 0);
    return r < 0 ? r : 1;
}

int link_ask_neighbour4(struct link_ctx *ctx, const char *name, uint32_t addr)
{
    const struct address who = { .version = 4, .v4 = addr };
    struct ndmsg info = { .ndm_family = AF_INET, .ndm_flags = NTF_USE };
    int r = link_index(ctx, name);

    if (r < 0)
        return r;
    info.ndm_ifindex = r;
    return link_request(ctx, neighbour_message(RTM_NEWNEIGH, NLM_F_CREATE, &info, &who), false);
}

static int add_default(struct link_ctx *ctx, const char *name, int family, const void *via,
                       size_t len, uint32_t table)
{
    const struct rtmsg info = { .rtm_family = (unsigned char)family,
                                .rtm_table = (unsigned char)table,
                                .rtm_protocol = RTPROT_STATIC,
                                .rtm_scope = RT_SCOPE_UNIVERSE,
                                .rtm_type = RTN_UNICAST };
    int index = link_index(ctx, name);
    struct nl_msg *msg;
    bool bad;

    if (index < 0)
        return index;
    msg = nlmsg_alloc_simple(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE);
    if (!msg)
        return -ENOMEM;
    bad = nlmsg_append(msg, (void *)(uintptr_t)&info, sizeof info, NLMSG_ALIGNTO) < 0;
    bad |= nla_put(msg, RTA_GATEWAY, (int)len, via) < 0;
    bad |= nla_put_u32(msg, RTA_OIF, (uint32_t)index) < 0;
    return link_request(ctx, msg, bad);
}

int link_add_default4(struct link_ctx *ctx, const char *name, uint32_t via, uint32_t table)
{
    uint32_t wire = htonl(via);

    return add_default(ctx, name, AF_INET, &wire, sizeof wire, table);
}

int link_add_default6(struct link_ctx *ctx, const char *name, const uint8_t via[16], uint32_t table)
{
    return add_default(ctx, name, AF_INET6, via, 16, table);
}
