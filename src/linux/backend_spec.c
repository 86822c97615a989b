/* SPDX-License-Identifier: Apache-2.0 */
/* backend_spec.c - a definition in netd's words, and back. */
#include "backend_record.h"

#include "mem.h"
#include "str.h"

#include <string.h>

static uint32_t flags_of(const struct net_def *def)
{
    return (def->nat44 ? NETD_NET_NAT44 : 0u) | (def->nat66 ? NETD_NET_NAT66 : 0u) |
           (def->dhcp ? NETD_NET_DHCP : 0u) | (def->dns_proxy ? NETD_NET_DNS : 0u) |
           (def->router_advertisement ? NETD_NET_RA : 0u) |
           (def->isolation ? NETD_NET_ISOLATED : 0u);
}

/* Every network has a domain of its own; netd need not be told of that. */
static bool is_own_domain(const struct net_def *def)
{
    char own[DOMAIN_SIZE];
    return str_format(own, sizeof own, "%s." DNS_SUFFIX, def->name) == 0 &&
           strcmp(own, def->domain) == 0;
}

void spec_set_keys(struct netd_network *spec, const struct net_def *def, uint32_t idle_timeout_sec)
{
    spec->mode = def->mode;
    spec->anti_spoofing = def->anti_spoofing;
    spec->flags = flags_of(def);
    spec->mtu = def->mtu;
    spec->uplink = def->uplink;
    spec->idle_timeout_sec =
        def->idle_timeout_sec == UINT32_MAX ? idle_timeout_sec : def->idle_timeout_sec;
    memset(spec->dns_servers, 0, sizeof spec->dns_servers);
    spec->n_dns_servers = def->n_dns_servers;
    for (unsigned i = 0; i < def->n_dns_servers; i++)
        netd_address_put(&def->dns_servers[i], spec->dns_servers[i]);
    memset(spec->external_interface, 0, sizeof spec->external_interface);
    (void)str_copy(spec->external_interface, sizeof spec->external_interface,
                   def->external_interface);
    memset(spec->domain, 0, sizeof spec->domain);
    if (!is_own_domain(def))
        (void)str_copy(spec->domain, sizeof spec->domain, def->domain);
}

/* What the broker chose itself is as good as anything. */
bool spec_is_as_defined(const struct netd_network *spec, const struct net_def *def)
{
    struct netd_network wanted = *spec;
    spec_set_keys(&wanted, def, spec->idle_timeout_sec);
    wanted.idle_timeout_sec = spec->idle_timeout_sec; /* that can be changed as it is */
    if (def->subnet.prefix != 0) {
        wanted.ipv4_base = def->subnet.base;
        wanted.ipv4_prefix = def->subnet.prefix;
    }
    if (def->prefix6.len != 0) {
        wanted.ipv6_len = def->prefix6.len;
        memcpy(wanted.ipv6, def->prefix6.addr, sizeof wanted.ipv6);
    }
    return memcmp(&wanted, spec, sizeof wanted) == 0;
}

void spec_to_def(const struct netd_network *spec, struct net_def *ret)
{
    net_def_default(spec->name, (enum net_mode)spec->mode, ret);
    ret->anti_spoofing = (enum anti_spoofing)spec->anti_spoofing;
    ret->uplink = (enum uplink_kind)spec->uplink;
    ret->mtu = spec->mtu;
    ret->subnet = (struct subnet4){ spec->ipv4_base, spec->ipv4_prefix };
    ret->prefix6.len = spec->ipv6_len;
    memcpy(ret->prefix6.addr, spec->ipv6, sizeof ret->prefix6.addr);
    ret->nat44 = spec->flags & NETD_NET_NAT44;
    ret->nat66 = spec->flags & NETD_NET_NAT66;
    ret->dhcp = spec->flags & NETD_NET_DHCP;
    ret->dns_proxy = spec->flags & NETD_NET_DNS;
    ret->router_advertisement = spec->flags & NETD_NET_RA;
    ret->isolation = spec->flags & NETD_NET_ISOLATED;
    ret->idle_timeout_sec = spec->idle_timeout_sec;
    ret->n_dns_servers = spec->n_dns_servers;
    for (unsigned i = 0; i < spec->n_dns_servers; i++)
        ret->dns_servers[i] = netd_address_get(spec->dns_servers[i]);
    (void)str_copy(ret->external_interface, sizeof ret->external_interface,
                   spec->external_interface);
    if (spec->domain[0] != '\0')
        (void)str_copy(ret->domain, sizeof ret->domain, spec->domain);
}

bool spec_has_uplink(const struct netd_network *spec)
{
    return spec->mode == NET_MODE_SHARED && (spec->flags & (NETD_NET_NAT44 | NETD_NET_NAT66));
}

_Static_assert(NETD_DNS_SERVERS_MAX == DNS_SERVERS_MAX, "netd knows as many as a definition");
_Static_assert(NETD_RESERVATIONS_MAX == RESERVATIONS_MAX, "netd knows as many as a definition");
_Static_assert(NETD_DOMAIN_SIZE >= DOMAIN_SIZE, "every domain fits");
