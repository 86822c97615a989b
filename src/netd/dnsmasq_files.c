/* SPDX-License-Identifier: Apache-2.0 */
/* dnsmasq_files.c - what dnsmasq is told, and what it writes down itself.
 *
 * What the broker decided is all that dnsmasq hands out: a static range, no
 * configuration, hosts or resolver file of the system's, no client identifiers and no
 * names that guests call themselves. It does not probe addresses before it offers
 * them, which would cost every VM three seconds.
 *
 * It answers for VMs' names on every network; names from outside are asked of the host's
 * resolver, or of the servers that the definition names, or of nobody.
 */
#include "dnsmasq_part.h"

#include "dns_relay.h"
#include "file.h"
#include "leases.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Leases are for as long as a day off: the address is the VM's anyway. */
#define LEASE_TIME  "12h"
/* Questions that the outside has not answered yet, of all guests. It is 150 by default, and one
 * guest would use these up for its neighbours; as it is, of 10 s at the pace that router_rules.c
 * grants, it takes three of them. A question is some 400 bytes. */
#define QUESTIONS   "9000"
#define RA_INTERVAL "60"
#define RA_LIFETIME "1800"

static int write_file(const struct dnsmasq_setup *setup, const char *name, char *text, size_t len)
{
    return text ? file_replace(setup->dirfd, name, text, len, 0600) : -ENOMEM;
}

/* ---- dnsmasq.conf ----------------------------------------------------------------- */

/* Domains are searched in this order, with a comma between them. */
static void print_domains(FILE *out, const struct netd_network *net)
{
    fprintf(out, "%s%s%s." DNS_SUFFIX, net->domain, net->domain[0] ? "," : "", net->name);
}

/* Those of one family. Without any the option stays empty, and dnsmasq does not put
 * itself in their place. */
static void write_dns_option(FILE *out, const struct netd_network *net, unsigned version)
{
    char text[ADDR6_TEXT];

    if (net->n_dns_servers == 0 || (net->flags & NETD_NET_DNS))
        return;
    fprintf(out, "dhcp-option=option%s:dns-server", version == 6 ? "6" : "");
    for (uint32_t i = 0; i < net->n_dns_servers; i++) {
        struct address server = netd_address_get(net->dns_servers[i]);

        if (server.version == version)
            fprintf(out, version == 6 ? ",[%s]" : ",%s", address_format(&server, text));
    }
    fprintf(out, "\n");
}

static void write_dhcp(FILE *out, const struct netd_network *net)
{
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    char base[ADDR4_TEXT], mask[ADDR4_TEXT];

    fprintf(out,
            "dhcp-authoritative\nno-ping\ndhcp-ignore-clid\ndhcp-ignore-names\n"
            "dhcp-range=%s,static,%s," LEASE_TIME "\n"
            "dhcp-option=option:mtu,%u\n"
            "dhcp-option=option:domain-search,",
            addr4_format(subnet.base, base), addr4_format(subnet4_mask(subnet), mask), net->mtu);
    print_domains(out, net);
    fprintf(out, "\n");
    write_dns_option(out, net, 4);
    if (!(net->flags & NETD_NET_NAT44))
        fprintf(out, "dhcp-option=option:router\n"); /* no way out: be nobody's default route */
}

/* The resolver's address in advertisements is the bridge's own by default. */
static void write_ra(FILE *out, const struct netd_network *net, const char *bridge)
{
    char prefix[ADDR6_TEXT];

    fprintf(out,
            "enable-ra\n"
            "dhcp-range=%s,ra-stateless,ra-names,64," LEASE_TIME "\n"
            "ra-param=%s,mtu:%u," RA_INTERVAL ",%s\n"
            "dhcp-option=option6:domain-search,",
            addr6_format(net->ipv6, prefix), bridge, net->mtu,
            net->flags & NETD_NET_NAT66 ? RA_LIFETIME : "0");
    print_domains(out, net);
    fprintf(out, "\n");
    write_dns_option(out, net, 6);
}

static void write_upstream(FILE *out, const struct dnsmasq_setup *setup)
{
    char text[ADDR4_TEXT];

    if (setup->net->flags & NETD_NET_DNS)
        fprintf(out, "server=%s\n",
                addr4_format(dns_relay_address(setup->net, setup->index), text));
}

/* The names of IPv6 addresses that guests made themselves (ra-names) are in one domain only:
 * the user's, if there is one. */
static void write_domain(FILE *out, const struct netd_network *net)
{
    if (net->domain[0])
        fprintf(out, "domain=%s\n", net->domain);
    else
        fprintf(out, "domain=%s." DNS_SUFFIX "\n", net->name);
    fprintf(out, "local=/" DNS_SUFFIX "/\ndomain-needed\nbogus-priv\n");
}

int dnsmasq_write_config(const struct dnsmasq_setup *setup)
{
    const struct netd_network *net = setup->net;
    const char *path = setup->path;
    AUTO_FREE char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return -ENOMEM;
    fprintf(out,
            "# Written by vmnet-netd when the network was built.\n"
            "interface=%s\nexcept-interface=lo\nbind-dynamic\n"
            "no-hosts\nno-resolv\ndns-forward-max=" QUESTIONS
            "\nlog-facility=-\nquiet-dhcp\nquiet-dhcp6\nquiet-ra\n"
            "pid-file=%s/pid\ndhcp-leasefile=%s/leases\n"
            "dhcp-hostsfile=%s/hosts\naddn-hosts=%s/names\n",
            setup->bridge, path, path, path, path);
    write_domain(out, net);
    write_upstream(out, setup);
    if (net->flags & NETD_NET_DHCP)
        write_dhcp(out, net);
    if ((net->flags & NETD_NET_RA) && net->ipv6_len == 64)
        write_ra(out, net, setup->bridge);
    if (fclose(out) != 0)
        return -ENOMEM;
    return write_file(setup, "dnsmasq.conf", text, len);
}

/* ---- who is on the network --------------------------------------------------------- */

enum { SAME_MAC = 1, SAME_IPV4 = 2, SAME_NAME = 4 };

/* What of a reservation live VMs have. They keep it, and then the reservation counts. */
static unsigned taken_by(const struct port *ports, const struct netd_reservation *r)
{
    unsigned same = 0;

    for (const struct port *p = ports; p; p = p->next) {
        const struct netd_interface *itf = &p->interface;

        same |= memcmp(itf->mac, r->mac, sizeof r->mac) == 0 ? SAME_MAC : 0u;
        same |= itf->ipv4 == r->ipv4 ? SAME_IPV4 : 0u;
        same |= r->name[0] && strcmp(itf->name, r->name) == 0 ? SAME_NAME : 0u;
    }
    return same;
}

static void print_mac(FILE *out, const uint8_t *b, const char *end)
{
    fprintf(out, "%02x:%02x:%02x:%02x:%02x:%02x%s", b[0], b[1], b[2], b[3], b[4], b[5], end);
}

/* heir_of: another MAC that has a lease of the address; dnsmasq gives it away only if it is
 * told that both are the same host. */
static void print_host(FILE *out, const uint8_t *mac, struct mac heir_of, uint32_t ipv4,
                       const char *name)
{
    char address[ADDR4_TEXT];

    print_mac(out, mac, ",");
    if (mac_is_unicast(heir_of))
        print_mac(out, heir_of.b, ",");
    fprintf(out, "%s%s%s," LEASE_TIME "\n", addr4_format(ipv4, address), name[0] ? "," : "", name);
}

static bool is_known(const struct dnsmasq_setup *setup, const struct port *ports, struct mac mac)
{
    for (const struct port *p = ports; p; p = p->next)
        if (memcmp(p->interface.mac, mac.b, sizeof mac.b) == 0)
            return true;
    for (size_t i = 0; i < setup->reserved->n; i++)
        if (memcmp(setup->reserved->list[i].mac, mac.b, sizeof mac.b) == 0)
            return true;
    return false;
}

static void write_reserved_hosts(FILE *out, const struct dnsmasq_setup *setup,
                                 const struct port *ports)
{
    const struct reservations *reserved = setup->reserved;
    struct leases leases = { 0 };

    if (reserved->n > 0)
        leases_read(setup->dirfd, &leases);
    for (size_t i = 0; i < reserved->n; i++) {
        const struct netd_reservation *r = &reserved->list[i];
        const struct lease *lease = leases_find(&leases, r->ipv4);
        unsigned taken = taken_by(ports, r);
        struct mac heir_of = { { 0 } };

        if (taken & (SAME_MAC | SAME_IPV4))
            continue;
        if (lease && !is_known(setup, ports, lease->mac))
            heir_of = lease->mac;
        print_host(out, r->mac, heir_of, r->ipv4, taken & SAME_NAME ? "" : r->name);
    }
    leases_clear(&leases);
}

static int write_hosts(const struct dnsmasq_setup *setup, const struct port *ports)
{
    AUTO_FREE char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return -ENOMEM;
    for (const struct port *p = ports; p; p = p->next)
        if (p->interface.ipv4)
            print_host(out, p->interface.mac, p->heir_of, p->interface.ipv4, p->interface.name);
    write_reserved_hosts(out, setup, ports);
    if (fclose(out) != 0)
        return -ENOMEM;
    return write_file(setup, "hosts", text, len);
}

/* The first name is what the address is called when it is looked up. */
static void print_names(FILE *out, const struct netd_network *net, const char *address,
                        const char *name)
{
    fprintf(out, "%s ", address);
    if (net->domain[0])
        fprintf(out, "%s.%s ", name, net->domain);
    fprintf(out, "%s.%s." DNS_SUFFIX " %s\n", name, net->name, name);
}

static void write_gateway(FILE *out, const struct netd_network *net)
{
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    struct prefix6 prefix = { .len = net->ipv6_len };
    char text[ADDR6_TEXT];
    uint8_t gateway[16];

    print_names(out, net, addr4_format(subnet4_gateway(subnet), text), "gateway");
    if (net->ipv6_len == 0)
        return;
    memcpy(prefix.addr, net->ipv6, sizeof prefix.addr);
    prefix6_gateway(&prefix, gateway);
    print_names(out, net, addr6_format(gateway, text), "gateway");
}

/* Whichever network a guest is on, the host is host.vmnet.internal. */
static void print_host_names(FILE *out, const struct netd_network *net, const char *address)
{
    fprintf(out, "%s host." DNS_SUFFIX "\n", address);
    print_names(out, net, address, "host");
}

static void write_host(FILE *out, const struct dnsmasq_setup *setup)
{
    const struct netd_network *net = setup->net;
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    struct prefix6 prefix = { .len = net->ipv6_len };
    char text[ADDR6_TEXT];
    uint8_t host[16];

    if (setup->host & HOSTSIDE_IPV4)
        print_host_names(out, net, addr4_format(subnet4_host(subnet), text));
    if (!(setup->host & HOSTSIDE_IPV6))
        return;
    memcpy(prefix.addr, net->ipv6, sizeof prefix.addr);
    prefix6_host(&prefix, host);
    print_host_names(out, net, addr6_format(host, text));
}

/* IPv6 names are dnsmasq's affair (ra-names): it pings the address that a guest's MAC
 * would give and publishes it when the guest answers, since a guest may as well have
 * chosen a private one. */
static int write_names(const struct dnsmasq_setup *setup, const struct port *ports)
{
    const struct reservations *reserved = setup->reserved;
    AUTO_FREE char *text = NULL;
    char address[ADDR4_TEXT];
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return -ENOMEM;
    write_gateway(out, setup->net);
    write_host(out, setup);
    for (const struct port *p = ports; p; p = p->next)
        if (p->interface.ipv4 && p->interface.name[0])
            print_names(out, setup->net, addr4_format(p->interface.ipv4, address),
                        p->interface.name);
    for (size_t i = 0; i < reserved->n; i++)
        if (reserved->list[i].name[0] && !taken_by(ports, &reserved->list[i]))
            print_names(out, setup->net, addr4_format(reserved->list[i].ipv4, address),
                        reserved->list[i].name);
    if (fclose(out) != 0)
        return -ENOMEM;
    return write_file(setup, "names", text, len);
}

int dnsmasq_write_who(const struct dnsmasq_setup *setup, const struct port *ports)
{
    int r = write_hosts(setup, ports);

    return r < 0 ? r : write_names(setup, ports);
}
