/* SPDX-License-Identifier: Apache-2.0 */
/* uplink_tap.c - the TAP that the engine attaches to.
 *
 * Ours and persistent: while an engine dies and the next one starts, addresses, routes,
 * masqueraded ports and the long transmit queue stay.
 */
#include "uplink_part.h"

#include "fd.h"
#include "mem.h"
#include "router.h"

#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* A window of 1500-byte frames overflows the default ring of 1000 frames, and the
 * engine sees losses: 1.9 Gbit/s up, with this length 7.8 and no retransmission. */
#define QUEUE_FRAMES 20000

static int there_already(int r)
{
    return r == -EEXIST ? 0 : r;
}

static int address_tap(struct uplink *u, const struct engine *e)
{
    /* The kernel would make one up to a second after the first carrier, and until then
     * cannot ask who the router is. */
    static const uint8_t link_local[16] = { 0xfe, 0x80, [15] = 0x64 };

    int r = there_already(link_add_addr4(u->links, UPLINK_LINK, e->ipv4, e->ipv4_prefix));
    if (r == 0)
        r = there_already(link_add_addr6(u->links, UPLINK_LINK, link_local, 64));
    if (r == 0)
        r = there_already(link_add_addr6(u->links, UPLINK_LINK, e->ipv6_addr, e->ipv6_len));
    if (r == 0)
        r = link_set_up(u->links, UPLINK_LINK);
    if (r == 0)
        r = there_already(link_add_default4(u->links, UPLINK_LINK, e->ipv4_gateway));
    if (r == 0)
        r = there_already(link_add_default6(u->links, UPLINK_LINK, e->ipv6_gateway));
    return r;
}

static int set_knobs(void)
{
    static const struct {
        const char *name, *value;
    } knobs[] = {
        { "ipv6/conf/" UPLINK_LINK "/accept_ra", "0" }, /* we address it ourselves */
        { "ipv6/conf/" UPLINK_LINK "/accept_dad", "0" },
        { "ipv6/conf/" UPLINK_LINK "/addr_gen_mode", "1" }, /* none of its own making */
        { "ipv6/conf/" UPLINK_LINK "/disable_ipv6", "0" },  /* the namespace's default is 1 */
        { "ipv4/conf/" UPLINK_LINK "/forwarding", "1" },
        { "ipv6/conf/all/forwarding", "1" }, /* IPv6 has no finer one */
    };

    for (size_t i = 0; i < N_ELEMENTS(knobs); i++) {
        int r = sysctl_set(knobs[i].name, knobs[i].value);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    return 0;
}

int uplink_prepare_tap(struct uplink *u, const struct engine *engine)
{
    int tap = -1, r = 0;

    if (if_nametoindex(UPLINK_LINK) == 0)
        r = tap_create(UPLINK_LINK, 1, false, true, &tap);
    fd_closep(&tap); /* at once: our own end would count as a carrier */
    if (r == 0)
        r = set_knobs();
    if (r == 0)
        r = link_set_port(u->links, UPLINK_LINK, NULL, false, ENGINE_MTU, 0);
    if (r == 0)
        r = link_set_txqueuelen(u->links, UPLINK_LINK, QUEUE_FRAMES);
    if (r == 0)
        r = address_tap(u, engine);
    return r;
}

/* IFF_RUNNING and the kernel's messages say so, too, but up to a
 * second late; in our own namespace anybody may ask like this. */
bool uplink_has_carrier(const struct uplink *u)
{
    struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
    struct ifreq req = { .ifr_name = UPLINK_LINK, .ifr_data = (char *)&link };

    return ioctl(u->link_sock, SIOCETHTOOL, &req) == 0 && link.data;
}

int uplink_open_link_socket(void)
{
    AUTO_FD sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };

    if (sock < 0 || bind(sock, (struct sockaddr *)&addr, sizeof addr) < 0)
        return -errno;
    return fd_take(&sock);
}
