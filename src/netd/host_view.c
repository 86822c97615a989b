/* SPDX-License-Identifier: Apache-2.0 */
/* host_view.c - see host_view.h. Two rtnetlink dumps, message by message, through a socket that
 * is opened for each reading: no earlier one's rest can be taken for this one's. */
#include "host_view.h"

#include "names.h"
#include "str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>

#define DUMP_TRIES 3 /* a dump that changes under our eyes is read again */

struct reading {
    struct link_ctx *links;
    const struct subnet4 *ours;
    size_t n_ours;
    struct host_view view;
};

/* ---- one fact each ------------------------------------------------------------------- */

static void add_name(struct link_names *list, const char *name)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (strcmp(list->name[i], name) == 0)
            return;
    if (list->n < HOST_NAT_LINKS_MAX &&
        str_copy(list->name[list->n], sizeof list->name[0], name) == 0)
        list->n++;
}

static void take_link(struct reading *reading, const struct rtmsg *route, uint32_t index)
{
    char name[IF_NAMESIZE];

    if (index == 0 || link_name(reading->links, index, name) < 0 || !host_nat_name_ok(name))
        return;
    add_name(route->rtm_family == AF_INET ? &reading->view.links4 : &reading->view.links6, name);
    if (route->rtm_dst_len < 8) {
        reading->view.default4 |= route->rtm_family == AF_INET;
        reading->view.default6 |= route->rtm_family == AF_INET6;
    }
}

/* A VPN's halves of the world and the default route are in nobody's way. */
static void compare(struct reading *reading, struct subnet4 range, const char *link)
{
    struct host_overlap *overlap = &reading->view.overlap;

    if (range.prefix < 8 || overlap->prefix != 0)
        return;
    for (size_t i = 0; i < reading->n_ours; i++)
        if (subnet4_overlaps(range, reading->ours[i])) {
            *overlap = (struct host_overlap){ .base = range.base, .prefix = range.prefix };
            (void)str_copy(overlap->link, sizeof overlap->link, link);
            return;
        }
}

static void take_range(struct reading *reading, const struct nlattr *addr, unsigned prefix,
                       uint32_t index)
{
    struct subnet4 range = { .prefix = prefix };
    char name[IF_NAMESIZE] = "";
    uint32_t base;

    if (!addr || nla_len(addr) != sizeof base || prefix > 32)
        return;
    if (index != 0 && link_name(reading->links, index, name) < 0)
        return;
    memcpy(&base, nla_data(addr), sizeof base);
    range.base = ntohl(base) & subnet4_mask(range);
    if (strcmp(name, HOST_NAT_LINK) != 0)
        transit_take(&reading->view.transits, range.base, prefix);
    if (strncmp(name, HOST_LINK, strlen(HOST_LINK)) != 0)
        compare(reading, range, name);
}

static bool is_link_local(const struct rtmsg *route, const struct nlattr *dst)
{
    const uint8_t *addr = dst && nla_len(dst) == 16 ? nla_data(dst) : NULL;

    return route->rtm_family == AF_INET6 && addr && addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

/* ---- messages ------------------------------------------------------------------------ */

static void take_hops(struct reading *reading, const struct rtmsg *route, const struct nlattr *hops)
{
    struct rtnexthop *hop = nla_data(hops); /* RTNH_NEXT() would cast const away */
    int left = nla_len(hops);

    for (; RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
        take_link(reading, route, (uint32_t)hop->rtnh_ifindex);
}

static int on_route(struct nl_msg *msg, void *arg)
{
    struct reading *reading = arg;
    struct nlmsghdr *head = nlmsg_hdr(msg);
    struct nlattr *attrs[RTA_MAX + 1];

    if (head->nlmsg_type != RTM_NEWROUTE ||
        nlmsg_parse(head, sizeof(struct rtmsg), attrs, RTA_MAX, NULL) < 0)
        return NL_OK;
    const struct rtmsg *route = nlmsg_data(head);
    uint32_t table = attrs[RTA_TABLE] ? nla_get_u32(attrs[RTA_TABLE]) : route->rtm_table;
    uint32_t index = attrs[RTA_OIF] ? nla_get_u32(attrs[RTA_OIF]) : 0;
    if (table == RT_TABLE_LOCAL || (route->rtm_flags & RTM_F_CLONED))
        return NL_OK;
    if (route->rtm_family == AF_INET)
        take_range(reading, attrs[RTA_DST], route->rtm_dst_len, index);
    if (route->rtm_type != RTN_UNICAST || is_link_local(route, attrs[RTA_DST]))
        return NL_OK;
    take_link(reading, route, index);
    if (attrs[RTA_MULTIPATH])
        take_hops(reading, route, attrs[RTA_MULTIPATH]);
    return NL_OK;
}

static int on_address(struct nl_msg *msg, void *arg)
{
    struct nlmsghdr *head = nlmsg_hdr(msg);
    struct nlattr *attrs[IFA_MAX + 1];

    if (head->nlmsg_type != RTM_NEWADDR ||
        nlmsg_parse(head, sizeof(struct ifaddrmsg), attrs, IFA_MAX, NULL) < 0)
        return NL_OK;
    const struct ifaddrmsg *address = nlmsg_data(head);
    if (address->ifa_family == AF_INET)
        take_range(arg, attrs[IFA_ADDRESS], address->ifa_prefixlen, address->ifa_index);
    return NL_OK;
}

/* ---- reading ------------------------------------------------------------------------- */

static int dump(int type, int family, nl_recvmsg_msg_cb_t each, struct reading *reading)
{
    const struct rtgenmsg head = { .rtgen_family = (unsigned char)family };
    struct nl_sock *sock = nl_socket_alloc();
    int r = sock ? nl_connect(sock, NETLINK_ROUTE) : -NLE_NOMEM;

    if (r >= 0) {
        nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, each, reading);
        r = nl_send_simple(sock, type, NLM_F_DUMP, (void *)(uintptr_t)&head, sizeof head);
    }
    if (r >= 0)
        r = nl_recvmsgs_default(sock);
    nl_socket_free(sock);
    if (r >= 0)
        return 0;
    return r == -NLE_DUMP_INTR ? -EAGAIN : r == -NLE_NOMEM ? -ENOMEM : -EIO;
}

static int read_once(struct reading *reading)
{
    reading->view = (struct host_view){ .default4 = false };
    int r = dump(RTM_GETROUTE, AF_INET, on_route, reading);

    if (r == 0)
        r = dump(RTM_GETROUTE, AF_INET6, on_route, reading);
    return r < 0 ? r : dump(RTM_GETADDR, AF_INET, on_address, reading);
}

int host_view_read(struct link_ctx *links, const struct subnet4 *ours, size_t n_ours,
                   struct host_view *ret)
{
    struct reading reading = { .links = links, .ours = ours, .n_ours = n_ours };
    int r = -EAGAIN;

    for (int i = 0; i < DUMP_TRIES && r == -EAGAIN; i++)
        r = read_once(&reading);
    if (r == 0)
        *ret = reading.view;
    return r;
}
