/* SPDX-License-Identifier: Apache-2.0 */
/* uplink_tap.c - the TAP that the engine attaches to.
 *
 * Ours and persistent: while an engine dies and the next one starts, addresses, routes,
 * masqueraded ports and the long transmit queue stay.
 */
#include "uplink_part.h"

#include "fd.h"
#include "knobs.h"
#include "log.h"
#include "mem.h"
#include "names.h"
#include "str.h"

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

static int address_tap(struct uplink *u)
{
    /* The kernel would make one up to a second after the first carrier, and until then
     * cannot ask who the router is. */
    static const uint8_t link_local[16] = { 0xfe, 0x80, [15] = 0x64 };
    const char *link = uplink_link(u->slot);
    uint32_t table = uplink_table(u->slot, u->setup.main_slot);
    struct engine_addresses at;

    engine_addresses(u->slot, &at);
    int r = link_made(link_add_addr4(u->setup.links, link, at.ipv4, at.ipv4_prefix));
    if (r == 0)
        r = link_made(link_add_addr6(u->setup.links, link, link_local, 64));
    if (r == 0)
        r = link_made(link_add_addr6(u->setup.links, link, at.ipv6, at.ipv6_len));
    if (r == 0)
        r = link_set_up(u->setup.links, link);
    if (r == 0)
        r = link_made(link_add_default4(u->setup.links, link, at.ipv4_gateway, table));
    if (r == 0)
        r = link_made(link_add_default6(u->setup.links, link, at.ipv6_gateway, table));
    return r;
}

static int set_all_knobs(const struct uplink *u)
{
    static const struct knob usual[] = {
        { "ipv6/conf/", "/accept_ra", "0" }, /* we address it ourselves */
        { "ipv6/conf/", "/accept_dad", "0" },
        { "ipv6/conf/", "/addr_gen_mode", "1" }, /* none of its own making */
        { "ipv6/conf/", "/disable_ipv6", "0" },  /* the namespace's default is 1 */
        { "ipv4/conf/", "/forwarding", "1" },
    };
    static const struct knob forwarding6 = { "ipv6/conf/all/forwarding", "",
                                             "1" }; /* no finer one */
    /* The main table does not lead there; the filter of some hosts, which the namespace
     * takes over, would throw every answer away. */
    static const struct knob beside = { "ipv4/conf/", "/rp_filter", "0" };
    static const struct knob beside_all = { "ipv4/conf/all/rp_filter", "", "0" };
    const char *link = uplink_link(u->slot);
    struct netd_why why = { 0 };
    int r = knobs_set(usual, N_ELEMENTS(usual), link, &why);

    if (r == 0)
        r = knobs_set(&forwarding6, 1, "", &why);
    if (r == 0 && u->slot != u->setup.main_slot)
        r = knobs_set(&beside, 1, link, &why);
    if (r == 0 && u->slot != u->setup.main_slot)
        r = knobs_set(&beside_all, 1, "", &why);
    if (r < 0)
        log_debug("%s: %s", link, why.why);
    return r;
}

int uplink_prepare_tap(struct uplink *u)
{
    const char *link = uplink_link(u->slot);
    int tap = -1, r = 0;

    if (if_nametoindex(link) == 0)
        r = tap_create(link, 1, false, &tap);
    if (tap >= 0)
        r = tap_keep(tap);
    fd_closep(&tap); /* at once: our own end would count as a carrier */
    if (r == 0)
        r = set_all_knobs(u);
    if (r == 0)
        r = link_set_port(u->setup.links, link, NULL, ENGINE_MTU, uplink_group(u->slot));
    if (r == 0)
        r = link_set_txqueuelen(u->setup.links, link, QUEUE_FRAMES);
    if (r == 0)
        r = address_tap(u);
    return r;
}

/* IFF_RUNNING and the kernel's messages say so, too, but up to a
 * second late; in our own namespace anybody may ask like this. */
bool uplink_has_carrier(const struct uplink *u)
{
    struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
    struct ifreq req = { .ifr_data = (char *)&link };

    (void)str_copy(req.ifr_name, sizeof req.ifr_name, uplink_link(u->slot));

    return ioctl(u->link_sock, SIOCETHTOOL, &req) == 0 && link.data;
}

int uplink_open_news(uint32_t groups)
{
    AUTO_FD sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = groups };

    if (sock < 0 || bind(sock, (struct sockaddr *)&addr, sizeof addr) < 0)
        return -errno;
    return fd_take(&sock);
}
