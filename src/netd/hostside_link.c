/* SPDX-License-Identifier: Apache-2.0 */
/* hostside_link.c - the host's own link on a network: a veth.
 *
 * Its other end is made in the namespace right away, so that no half of it is ever seen in the
 * host. The kernel deletes both when either goes, with the host's addresses and routes on it:
 * nothing to be undone but the link.
 *
 * Guests are at its other end, so it is no router's link and no multihomed host's: it takes no
 * advertisements, redirects or source routes, answers ARP for its own address only, and takes
 * packets only from where they could be answered to.
 */
#include "hostside_part.h"

#include "bridge.h"
#include "fd.h"
#include "guard.h"
#include "knobs.h"
#include "log.h"
#include "mem.h"
#include "names.h"
#include "str.h"
#include "veth.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* ---- what there is ------------------------------------------------------------------- */

static int ask_link(const char *name, unsigned long question, struct ifreq *req)
{
    AUTO_FD sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int r = sock < 0 ? -errno : str_copy(req->ifr_name, sizeof req->ifr_name, name);

    if (r < 0)
        return r;
    return ioctl(sock, question, req) < 0 ? -errno : 0;
}

/* 1, 0 or a negative errno. A link without a driver to ask is none. */
static int is_veth(const char *name)
{
    struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
    struct ifreq req = { .ifr_data = (char *)&info };
    int r = ask_link(name, SIOCETHTOOL, &req);

    if (r == 0)
        return strcmp(info.driver, "veth") == 0;
    return r == -EOPNOTSUPP ? 0 : r;
}

static int is_up(const char *name)
{
    struct ifreq req = { .ifr_flags = 0 };
    int r = ask_link(name, SIOCGIFFLAGS, &req);

    return r < 0 ? r : (req.ifr_flags & IFF_UP) != 0;
}

/* 1: yes, made by us or an earlier one of us. 0: by somebody else. -ENODEV: there is none. */
static int is_ours(const struct host *host, const char *name)
{
    const struct mac ours = host_mac(0);
    struct mac mac;
    int r = link_mac(host->links, name, &mac);

    if (r < 0)
        return r;
    return memcmp(mac.b, ours.b, 3) == 0 ? is_veth(name) : 0;
}

static void name_link(uint32_t index, char name[static IFNAMSIZ])
{
    (void)str_format(name, IFNAMSIZ, HOST_LINK "%u", index);
}

/* ---- making -------------------------------------------------------------------------- */

static int add_veth(const struct host *host, const struct host_link *link)
{
    const struct mac mac = host_mac(link->net.ipv4_base);
    char peer[IFNAMSIZ];

    (void)str_format(peer, sizeof peer, HOST_PORT "%u", link->net.index);
    return veth_add(host->links, &(struct veth){ .name = link->name,
                                                 .peer = peer,
                                                 .mac = &mac,
                                                 .peer_mac = &guard_mac, /* as every port's */
                                                 .netns = host->netns,
                                                 .mtu = link->net.mtu });
}

/* Only a link of ours gives way to the new one. */
static int clear_name(struct host *host, const struct host_link *link, struct netd_why *why)
{
    int r = is_ours(host, link->name);

    if (r == -ENODEV)
        return 0;
    if (r == 0)
        return why_refused(why, -EEXIST,
                           "the host has a link %s that is not ours; give it another name",
                           link->name);
    return r < 0 ? r : link_delete(host->links, link->name);
}

static int set_knobs(const struct host_link *link, struct netd_why *why)
{
    static const struct knob knobs[] = {
        { "ipv4/conf/", "/forwarding", "0" },
        { "ipv4/conf/", "/arp_ignore", "1" },
        { "ipv4/conf/", "/arp_announce", "2" },
        { "ipv4/conf/", "/rp_filter", "1" },
        { "ipv4/conf/", "/proxy_arp", "0" },
        { "ipv4/conf/", "/route_localnet", "0" },
        { "ipv4/conf/", "/accept_local", "0" },
        { "ipv4/conf/", "/accept_redirects", "0" },
        { "ipv4/conf/", "/accept_source_route", "0" },
        { "ipv4/conf/", "/send_redirects", "0" },
        { "ipv6/conf/", "/forwarding", "0" },
        { "ipv6/conf/", "/accept_ra", "0" },
        { "ipv6/conf/", "/autoconf", "0" },
        { "ipv6/conf/", "/accept_redirects", "0" },
        { "ipv6/conf/", "/accept_dad", "0" },
        { "ipv6/conf/", "/addr_gen_mode", "1" }, /* no address of its own making */
        { "ipv6/conf/", "/proxy_ndp", "0" },
    };

    return knobs_set(knobs, N_ELEMENTS(knobs), link->name, why);
}

/* 1: it was not there. */
static int added(int r)
{
    return r == 0 ? 1 : r == -EEXIST ? 0 : r;
}

static int set_addresses4(const struct host *host, const struct host_link *link)
{
    const struct subnet4 subnet = { .base = link->net.ipv4_base, .prefix = link->net.ipv4_prefix };

    return added(link_add_addr4(host->links, link->name, subnet4_host(subnet), subnet.prefix));
}

/* A host that has switched IPv6 off, or knows none, has no address of it here either. */
static int set_addresses6(const struct host *host, struct host_link *link)
{
    struct prefix6 prefix = { .len = link->net.ipv6_len };
    uint8_t local[16], global[16];
    int r, made;

    if (prefix.len == 0)
        return 0;
    memcpy(prefix.addr, link->net.ipv6, sizeof prefix.addr);
    prefix6_host(&prefix, global);
    mac_link_local(host_mac(link->net.ipv4_base), local);
    made = r = added(link_add_addr6(host->links, link->name, local, 64));
    if (r >= 0) {
        r = added(link_add_addr6(host->links, link->name, global, prefix.len));
        made |= r;
    }
    if (r == -EACCES || r == -EOPNOTSUPP || r == -EAFNOSUPPORT)
        return 0;
    if (r >= 0)
        link->families |= HOSTSIDE_IPV6;
    return r < 0 ? r : made;
}

/* What is missing is set; how much that was, or a negative errno. */
static int set_addresses(const struct host *host, struct host_link *link)
{
    int v4 = set_addresses4(host, link), v6;

    if (v4 < 0)
        return v4;
    link->families = HOSTSIDE_IPV4;
    v6 = set_addresses6(host, link);
    return v6 < 0 ? v6 : v4 + v6;
}

static int configure(struct host *host, struct host_link *link, struct netd_why *why)
{
    int r = set_knobs(link, why);

    if (r == 0)
        r = set_addresses(host, link);
    if (r >= 0)
        r = link_set_up(host->links, link->name);
    if (r == 0)
        r = link_index(host->links, link->name);
    if (r < 0)
        return r;
    link->ifindex = r;
    return 0;
}

static int make(struct host *host, const struct host_link *link, struct netd_why *why)
{
    int r = clear_name(host, link, why);

    if (r < 0)
        return r;
    r = add_veth(host, link);
    if (r < 0)
        (void)host_link_delete(host, link->net.index); /* it may be only the kernel's word on it */
    return r;
}

int host_link_make(struct host *host, struct host_link *link, struct netd_why *why)
{
    int r;

    link->ifindex = 0;
    name_link(link->net.index, link->name);
    if (!link->net.adopt)
        r = make(host, link, why);
    else
        r = is_ours(host, link->name) == 1 ? 0 : -ENODEV;
    if (r < 0)
        return why_failed(why, r, "cannot make the host's link %s", link->name);
    r = configure(host, link, why);
    if (r < 0) {
        (void)host_link_delete(host, link->net.index);
        return why_failed(why, r, "cannot set up the host's link %s", link->name);
    }
    return 0;
}

/* ---- afterwards ---------------------------------------------------------------------- */

int host_link_mend(struct host *host, struct host_link *link, struct netd_why *why)
{
    const struct mac wanted = host_mac(link->net.ipv4_base);
    unsigned families = link->families;
    int r = link_keep_mac(host->links, link->name, wanted);
    bool wrong = r > 0;

    if (r >= 0)
        r = is_up(link->name);
    wrong |= r == 0;
    if (r >= 0)
        r = wrong ? configure(host, link, why) : set_addresses(host, link);
    if (r < 0)
        return why_failed(why, r, "cannot mend the host's link %s", link->name);
    link->families = families | link->families;
    return wrong || r > 0;
}

int host_link_delete(struct host *host, uint32_t index)
{
    char name[IFNAMSIZ];
    int r;

    name_link(index, name);
    host->at[index].ifindex = 0;
    r = is_ours(host, name);
    if (r == 1)
        r = link_delete(host->links, name);
    return r == -ENODEV ? 0 : r;
}

int host_links_sweep(struct host *host)
{
    int first = 0;

    for (uint32_t i = 0; i < NETWORKS_MAX; i++) {
        int r = host->at[i].known ? 0 : host_link_delete(host, i);

        if (first == 0)
            first = r;
    }
    return first;
}
