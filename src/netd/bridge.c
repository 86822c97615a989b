/* SPDX-License-Identifier: Apache-2.0 */
/* bridge.c - see bridge.h. */
#include "bridge.h"

#include "knobs.h"
#include "mem.h"
#include "str.h"

#include <errno.h>

/* 02: locally administered. "v", a letter, and the part of the subnet that differs. */
static struct mac mac_of(char letter, uint32_t base)
{
    return (struct mac){ { 0x02, 'v', (uint8_t)letter, (uint8_t)(base >> 24), (uint8_t)(base >> 16),
                           (uint8_t)(base >> 8) } };
}

struct mac bridge_mac(const struct netd_network *net)
{
    return mac_of('b', net->ipv4_base);
}

struct mac host_mac(uint32_t ipv4_base)
{
    return mac_of('h', ipv4_base);
}

int vm_address_check(const struct netd_network *net, uint32_t ipv4, struct netd_why *why)
{
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    char text[ADDR4_TEXT];

    (void)addr4_format(ipv4, text);
    if (!subnet4_contains(subnet, ipv4))
        return why_refused(why, -EINVAL, "%s is not in the subnet of network '%s'", text,
                           net->name);
    if (ipv4 == subnet.base || ipv4 == (subnet.base | ~subnet4_mask(subnet)) ||
        ipv4 == subnet4_gateway(subnet) || ipv4 == subnet4_host(subnet))
        return why_refused(why, -EINVAL, "%s is not for a VM", text);
    return 0;
}

static int set_addresses(struct link_ctx *links, const char *name, const struct netd_network *net)
{
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    struct prefix6 prefix = { .len = net->ipv6_len };
    uint8_t gateway6[16];
    int r;

    r = link_add_addr4(links, name, subnet4_gateway(subnet), subnet.prefix);
    if (r < 0 || net->ipv6_len == 0)
        return r;
    for (size_t i = 0; i < sizeof prefix.addr; i++)
        prefix.addr[i] = net->ipv6[i];
    prefix6_gateway(&prefix, gateway6);
    return link_add_addr6(links, name, gateway6, prefix.len);
}

static int configure(struct link_ctx *links, const char *name, const struct netd_network *net,
                     struct netd_why *why)
{
    /* Our addresses are ours by construction: nothing to wait for on them. ARP for
     * another network's gateway is not answered here. */
    static const struct knob knobs[] = {
        { "ipv4/conf/", "/forwarding", "1" },       { "ipv4/conf/", "/arp_ignore", "1" },
        { "ipv4/conf/", "/send_redirects", "0" },   { "ipv4/conf/", "/accept_redirects", "0" },
        { "ipv6/conf/", "/accept_dad", "0" },       { "ipv6/conf/", "/accept_ra", "0" },
        { "ipv6/conf/", "/accept_redirects", "0" }, { "ipv6/conf/", "/disable_ipv6", "0" },
    };
    int r;

    r = knobs_set(knobs, N_ELEMENTS(knobs), name, why);
    if (r < 0)
        return r;
    r = set_addresses(links, name, net);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot address bridge '%s'", net->name, name);
    r = link_set_up(links, name);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot bring up bridge '%s'", net->name, name);
    return 0;
}

int bridge_build(struct link_ctx *links, const char *name, uint32_t group,
                 const struct netd_network *net, struct netd_why *why)
{
    int r;

    r = link_add_bridge(links, name, bridge_mac(net), net->mtu, group);
    /* Whoever gave us the name knows of no such bridge: a removal could not take it away. */
    if (r == -EEXIST && link_delete(links, name) == 0)
        r = link_add_bridge(links, name, bridge_mac(net), net->mtu, group);
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot create bridge '%s'", net->name, name);
    r = configure(links, name, net, why);
    if (r < 0)
        (void)link_delete(links, name); /* undo; the first error is the story */
    return r;
}

int bridge_prepare_namespace(struct link_ctx *links, struct netd_why *why)
{
    /* br_netfilter is on in the new namespaces of some kernels: frames from guest to
     * guest would go through the NAT rules, at two thirds of the speed. IPv6 is switched
     * on where it belongs, so that no TAP has it for a moment. */
    static const struct knob knobs[] = {
        { "bridge/bridge-nf-call-", "iptables", "0" },
        { "bridge/bridge-nf-call-", "ip6tables", "0" },
        { "bridge/bridge-nf-call-", "arptables", "0" },
        { "ipv6/conf/", "all/forwarding", "1" },
        { "ipv6/conf/", "all/accept_ra", "0" },
        { "ipv6/conf/", "default/accept_ra", "0" },
        { "ipv6/conf/", "default/disable_ipv6", "1" },
    };
    int r;

    r = link_set_up(links, "lo");
    if (r < 0)
        return why_failed(why, r, "cannot bring up lo");
    return knobs_set(knobs, N_ELEMENTS(knobs), "", why);
}
