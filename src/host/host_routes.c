/* SPDX-License-Identifier: Apache-2.0 */
/* host_routes.c - two rtnetlink dumps, read message by message; see host_routes.h.
 *
 * Not through libnl's caches: they build an object for every route, and a host may be a
 * router with a full table. Routes alone would not do: an address of a link that is down,
 * or added with noprefixroute, has none.
 */
#include "host_routes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <string.h>

#define DUMP_TRIES 3 /* a dump that changes under our eyes is read again */

struct reading {
    struct taken_list *list;
    const char *own; /* NULL: no link is */
    int err;
    /* Most routes of a host lead to the same link; asking for its name costs three
     * system calls, of 2000 routes 10 of 13 ms. */
    unsigned link;
    char link_name[IF_NAMESIZE];
};

static uint32_t get_addr(const struct nlattr *attr)
{
    uint32_t addr = 0;
    if (attr && nla_len(attr) == sizeof addr)
        memcpy(&addr, nla_data(attr), sizeof addr);
    return ntohl(addr);
}

static const char *link_name(struct reading *reading, unsigned index)
{
    if (reading->link != index && !if_indextoname(index, reading->link_name))
        (void)snprintf(reading->link_name, sizeof reading->link_name, "?");
    reading->link = index;
    return reading->link_name;
}

static void add(struct reading *reading, const char *what, uint32_t addr, unsigned prefix,
                unsigned link)
{
    char range[SUBNET4_TEXT];
    struct subnet4 s = { .prefix = prefix };

    if (prefix > 32 || reading->err < 0)
        return;
    if (link != 0 && reading->own &&
        strncmp(link_name(reading, link), reading->own, strlen(reading->own)) == 0)
        return;
    s.base = addr & subnet4_mask(s);
    int r = link == 0 ? taken_add(reading->list, s, "%s %s", what, subnet4_format(s, range))
                      : taken_add(reading->list, s, "%s %s dev %s", what, subnet4_format(s, range),
                                  link_name(reading, link));
    if (r < 0)
        reading->err = r;
}

static int on_route(struct nl_msg *msg, void *arg)
{
    struct nlmsghdr *hdr = nlmsg_hdr(msg);
    struct nlattr *attrs[RTA_MAX + 1];

    if (hdr->nlmsg_type != RTM_NEWROUTE ||
        nlmsg_parse(hdr, sizeof(struct rtmsg), attrs, RTA_MAX, NULL) < 0)
        return NL_OK;
    const struct rtmsg *route = nlmsg_data(hdr);
    uint32_t table = attrs[RTA_TABLE] ? nla_get_u32(attrs[RTA_TABLE]) : route->rtm_table;
    if (route->rtm_family != AF_INET || table == RT_TABLE_LOCAL ||
        (route->rtm_flags & RTM_F_CLONED))
        return NL_OK;
    add(arg, "route", get_addr(attrs[RTA_DST]), route->rtm_dst_len,
        attrs[RTA_OIF] ? nla_get_u32(attrs[RTA_OIF]) : 0);
    return NL_OK;
}

static int on_address(struct nl_msg *msg, void *arg)
{
    struct nlmsghdr *hdr = nlmsg_hdr(msg);
    struct nlattr *attrs[IFA_MAX + 1];

    if (hdr->nlmsg_type != RTM_NEWADDR ||
        nlmsg_parse(hdr, sizeof(struct ifaddrmsg), attrs, IFA_MAX, NULL) < 0)
        return NL_OK;
    const struct ifaddrmsg *address = nlmsg_data(hdr);
    if (address->ifa_family != AF_INET)
        return NL_OK;
    /* Point to point, IFA_ADDRESS is the other end with the prefix, IFA_LOCAL ours. */
    uint32_t whole = get_addr(attrs[IFA_ADDRESS]), local = get_addr(attrs[IFA_LOCAL]);
    add(arg, "address", whole, address->ifa_prefixlen, address->ifa_index);
    if (local != 0 && local != whole)
        add(arg, "address", local, 32, address->ifa_index);
    return NL_OK;
}

static int dump_once(struct nl_sock *sock, int type, nl_recvmsg_msg_cb_t callback,
                     struct reading *reading)
{
    struct rtgenmsg ask = { .rtgen_family = AF_INET };

    int r = nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, callback, reading);
    if (r == 0)
        r = nl_send_simple(sock, type, NLM_F_DUMP, &ask, sizeof ask);
    if (r >= 0)
        r = nl_recvmsgs_default(sock);
    return r;
}

static int dump(struct nl_sock *sock, int type, nl_recvmsg_msg_cb_t callback,
                struct reading *reading)
{
    size_t before = reading->list->n;
    int r = 0;
    for (int tries = 0; tries < DUMP_TRIES; tries++) {
        reading->list->n = before;
        r = dump_once(sock, type, callback, reading);
        if (r != -NLE_DUMP_INTR)
            break;
    }
    if (reading->err < 0)
        return reading->err;
    /* Still changing at the third look: what we have is good enough for a choice. */
    return r < 0 && r != -NLE_DUMP_INTR ? -EIO : 0;
}

int host_routes_read(struct taken_list *list, const char *own)
{
    struct reading reading = { .list = list, .own = own };
    struct nl_sock *sock = nl_socket_alloc();
    if (!sock)
        return -ENOMEM;
    int r = nl_connect(sock, NETLINK_ROUTE) < 0 ? -EIO : 0;
    if (r == 0)
        r = dump(sock, RTM_GETROUTE, on_route, &reading);
    if (r == 0)
        r = dump(sock, RTM_GETADDR, on_address, &reading);
    nl_socket_free(sock);
    return r;
}
