/* SPDX-License-Identifier: Apache-2.0 */
/* host_default.c - the host's default routes through one socket; see host_default.h.
 *
 * Answers and notifications share the socket. An answer carries our own port and
 * sequence number; a notification carries the port of whoever changed the route.
 * A default route is any unicast route of length 0, whatever its table: VPNs keep
 * theirs beside the main one, and the engines look for nothing finer either.
 */
#include "host_default.h"

#include "fd.h"
#include "str.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int host_default_open(void)
{
    AUTO_FD sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl addr = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_IFADDR |
                     RTMGRP_IPV6_IFADDR,
    };

    if (sock < 0 || bind(sock, (struct sockaddr *)&addr, sizeof addr) < 0)
        return -errno;
    return fd_take(&sock);
}

int host_default_init(struct host_default *hd, int sock)
{
    struct sockaddr_nl addr;
    socklen_t len = sizeof addr;

    if (getsockname(sock, (struct sockaddr *)&addr, &len) < 0)
        return -errno;
    *hd = (struct host_default){ .sock = sock, .port = addr.nl_pid };
    return 0;
}

void host_default_close(struct host_default *hd)
{
    fd_closep(&hd->sock);
}

void host_default_set_interface(struct host_default *hd, const char *interface)
{
    (void)str_copy(hd->interface, sizeof hd->interface, interface);
    hd->ipv4 = hd->ipv6 = false;
    hd->asking = false; /* what is under way was asked for another */
    hd->seq++;
}

/* A socket's namespace answers, whatever kind of socket it is. 0: not there. */
static int find_interface(const struct host_default *hd)
{
    struct ifreq req = { .ifr_ifindex = 0 };

    (void)str_copy(req.ifr_name, sizeof req.ifr_name, hd->interface);
    return ioctl(hd->sock, SIOCGIFINDEX, &req) < 0 ? 0 : req.ifr_ifindex;
}

bool host_default_has_interface(const struct host_default *hd)
{
    return !hd->interface[0] || find_interface(hd) > 0;
}

int host_default_ask(struct host_default *hd)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
    } ask = {
        .header = { .nlmsg_len = sizeof ask,
                    .nlmsg_type = RTM_GETROUTE,
                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
        .route = { .rtm_family = AF_UNSPEC },
    };

    if (hd->asking)
        return 0;
    ask.header.nlmsg_seq = ++hd->seq;
    if (send(hd->sock, &ask, sizeof ask, 0) < 0)
        return -errno;
    hd->asking = true;
    hd->found4 = hd->found6 = false;
    hd->ifindex = hd->interface[0] ? find_interface(hd) : 0;
    return 0;
}

/* What follows would take const, but for the kernel's macros, which cast it away. */

/* A route of several ways has them in an attribute of its own. */
static bool any_hop_leads_to(struct rtattr *hops, int ifindex)
{
    struct rtnexthop *hop = RTA_DATA(hops);
    int left = (int)RTA_PAYLOAD(hops);

    while (left >= (int)sizeof *hop && RTNH_OK(hop, left)) {
        if (hop->rtnh_ifindex == ifindex)
            return true;
        left -= (int)RTNH_ALIGN(hop->rtnh_len);
        hop = RTNH_NEXT(hop);
    }
    return false;
}

static bool leads_to(struct nlmsghdr *header, int ifindex)
{
    struct rtmsg *route = (struct rtmsg *)(header + 1);
    struct rtattr *attr = RTM_RTA(route);
    int left = (int)RTM_PAYLOAD(header), oif;

    for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left)) {
        if (attr->rta_type == RTA_OIF && RTA_PAYLOAD(attr) == sizeof oif) {
            memcpy(&oif, RTA_DATA(attr), sizeof oif);
            if (oif == ifindex)
                return true;
        }
        if (attr->rta_type == RTA_MULTIPATH && any_hop_leads_to(attr, ifindex))
            return true;
    }
    return false;
}

/* Link-local IPv6 is on every link, and leads nowhere. */
static bool is_link_local(struct nlmsghdr *header)
{
    struct rtmsg *route = (struct rtmsg *)(header + 1);
    struct rtattr *attr = RTM_RTA(route);
    int left = (int)RTM_PAYLOAD(header);

    for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left)) {
        const uint8_t *to = RTA_DATA(attr);

        if (attr->rta_type == RTA_DST && route->rtm_family == AF_INET6 && RTA_PAYLOAD(attr) >= 2)
            return to[0] == 0xff || (to[0] == 0xfe && (to[1] & 0xc0) == 0x80);
    }
    return false;
}

static void note_route(struct host_default *hd, struct nlmsghdr *header)
{
    struct rtmsg *route = (struct rtmsg *)(header + 1);

    if (header->nlmsg_len < NLMSG_LENGTH(sizeof *route) || route->rtm_type != RTN_UNICAST)
        return;
    if (hd->interface[0] ? !leads_to(header, hd->ifindex) || is_link_local(header)
                         : route->rtm_dst_len != 0)
        return;
    hd->found4 |= route->rtm_family == AF_INET;
    hd->found6 |= route->rtm_family == AF_INET6;
}

/* One part of the answer to our question. */
static unsigned take_answer(struct host_default *hd, struct nlmsghdr *header)
{
    if (header->nlmsg_flags & NLM_F_DUMP_INTR) { /* routes changed while we read them */
        hd->asking = false;
        hd->seq++; /* what still comes is none of ours */
        return HOST_DEFAULT_CHANGED;
    }
    if (header->nlmsg_type == RTM_NEWROUTE) {
        note_route(hd, header);
        return 0;
    }
    hd->asking = false;
    if (header->nlmsg_type != NLMSG_DONE)
        return HOST_DEFAULT_CHANGED; /* an error, such as EBUSY: ask again later */
    hd->ipv4 = hd->found4;
    hd->ipv6 = hd->found6;
    return HOST_DEFAULT_KNOWN;
}

/* Signed: NLMSG_NEXT() goes below zero when the last message does not end aligned. */
static unsigned take_packet(struct host_default *hd, struct nlmsghdr *header, int64_t left)
{
    unsigned news = 0;

    for (; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
        if (header->nlmsg_pid != hd->port)
            news |= HOST_DEFAULT_CHANGED;
        else if (hd->asking && header->nlmsg_seq == hd->seq)
            news |= take_answer(hd, header);
    }
    return news;
}

unsigned host_default_read(struct host_default *hd)
{
    _Alignas(struct nlmsghdr) char buf[32768]; /* the kernel fills at most this in a dump */
    unsigned news = 0;

    for (int packets = 0; packets < 64; packets++) { /* a storm of changes must not hold us */
        ssize_t n = recv(hd->sock, buf, sizeof buf, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ENOBUFS) { /* something was lost, perhaps the answer */
            hd->asking = false;
            news |= HOST_DEFAULT_CHANGED;
            continue;
        }
        if (n <= 0)
            break;
        news |= take_packet(hd, (struct nlmsghdr *)buf, n);
    }
    return news;
}
