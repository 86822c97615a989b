/* SPDX-License-Identifier: Apache-2.0 */
/* dnsmasq.c - see dnsmasq.h.
 *
 * What the broker decided is all that dnsmasq hands out: a static range, no
 * configuration, hosts or resolver file of the system's, no client identifiers and no
 * names that guests call themselves. It does not probe addresses before it offers
 * them, which would cost every VM three seconds.
 *
 * It says that it serves by writing its pid file, the last thing it does before its
 * loop; all its sockets are bound by then.
 */
#include "dnsmasq.h"

#include "file.h"
#include "log.h"
#include "mem.h"
#include "relay.h"
#include "str.h"
#include "supervise.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Leases are for as long as a day off: the address is the VM's anyway. */
#define LEASE_TIME     "12h"
#define LEASES_MAX     (1u << 20)
#define READY_STEP     200u     /* us between looks; it takes 5 ms */
#define READY_PATIENCE 5000000u /* us; on a machine that is busy with something else */
#define RA_INTERVAL    "60"
#define RA_LIFETIME    "1800"

struct dnsmasq {
    struct dnsmasq_setup setup;
    struct supervised process;
    char what[NAME_SIZE + 32];
    sd_event_source *look; /* while we wait for the pid file */
    uint64_t waited;
};

/* ---- its files ------------------------------------------------------------------ */

static int write_file(const struct dnsmasq *d, const char *name, char *text, size_t len)
{
    return text ? file_replace(d->setup.dirfd, name, text, len, 0600) : -ENOMEM;
}

static void write_dhcp(FILE *out, const struct netd_network *net)
{
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    char base[ADDR4_TEXT], mask[ADDR4_TEXT];

    fprintf(out,
            "dhcp-authoritative\nno-ping\ndhcp-ignore-clid\ndhcp-ignore-names\n"
            "dhcp-range=%s,static,%s," LEASE_TIME "\n"
            "dhcp-option=option:mtu,%u\n"
            "dhcp-option=option:domain-search,%s." DNS_SUFFIX "\n",
            addr4_format(subnet.base, base), addr4_format(subnet4_mask(subnet), mask), net->mtu,
            net->name);
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
            "dhcp-option=option6:domain-search,%s." DNS_SUFFIX "\n"
            "ra-param=%s,mtu:%u," RA_INTERVAL ",%s\n",
            addr6_format(net->ipv6, prefix), net->name, bridge, net->mtu,
            net->flags & NETD_NET_NAT66 ? RA_LIFETIME : "0");
}

static int write_config(const struct dnsmasq *d)
{
    const struct netd_network *net = d->setup.net;
    const char *path = d->setup.path;
    AUTO_FREE char *text = NULL;
    char relay[ADDR4_TEXT];
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return -ENOMEM;
    fprintf(out,
            "# Written by vmnet-netd when the network was built.\n"
            "interface=%s\nexcept-interface=lo\nbind-dynamic\n"
            "no-hosts\nno-resolv\nlog-facility=-\nquiet-dhcp\nquiet-dhcp6\nquiet-ra\n"
            "pid-file=%s/pid\ndhcp-leasefile=%s/leases\n"
            "dhcp-hostsfile=%s/hosts\naddn-hosts=%s/names\n"
            "domain=%s." DNS_SUFFIX "\nlocal=/" DNS_SUFFIX "/\ndomain-needed\nbogus-priv\n",
            d->setup.bridge, path, path, path, path, net->name);
    if (net->flags & NETD_NET_DNS)
        fprintf(out, "server=%s\n", addr4_format(RELAY_DNS_ADDRESS, relay));
    if (net->flags & NETD_NET_DHCP)
        write_dhcp(out, net);
    if ((net->flags & NETD_NET_RA) && net->ipv6_len == 64)
        write_ra(out, net, d->setup.bridge);
    if (fclose(out) != 0)
        return -ENOMEM;
    return write_file(d, "dnsmasq.conf", text, len);
}

static void print_mac(FILE *out, const uint8_t *b, const char *end)
{
    fprintf(out, "%02x:%02x:%02x:%02x:%02x:%02x%s", b[0], b[1], b[2], b[3], b[4], b[5], end);
}

static int write_hosts(const struct dnsmasq *d, const struct port *ports)
{
    AUTO_FREE char *text = NULL;
    char address[ADDR4_TEXT];
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return -ENOMEM;
    for (const struct port *p = ports; p; p = p->next) {
        const struct netd_interface *itf = &p->interface;

        if (!itf->ipv4)
            continue;
        print_mac(out, itf->mac, ",");
        if (mac_is_unicast(p->heir_of))
            print_mac(out, p->heir_of.b, ",");
        fprintf(out, "%s%s%s," LEASE_TIME "\n", addr4_format(itf->ipv4, address),
                itf->name[0] ? "," : "", itf->name);
    }
    if (fclose(out) != 0)
        return -ENOMEM;
    return write_file(d, "hosts", text, len);
}

static void write_gateway(FILE *out, const struct netd_network *net)
{
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    struct prefix6 prefix = { .len = net->ipv6_len };
    char text[ADDR6_TEXT];
    uint8_t gateway[16];

    fprintf(out, "%s gateway.%s." DNS_SUFFIX " gateway\n",
            addr4_format(subnet4_gateway(subnet), text), net->name);
    if (net->ipv6_len == 0)
        return;
    memcpy(prefix.addr, net->ipv6, sizeof prefix.addr);
    prefix6_gateway(&prefix, gateway);
    fprintf(out, "%s gateway.%s." DNS_SUFFIX " gateway\n", addr6_format(gateway, text), net->name);
}

/* IPv6 names are dnsmasq's affair (ra-names): it pings the address that a guest's MAC
 * would give and publishes it when the guest answers, since a guest may as well have
 * chosen a private one. */
static int write_names(const struct dnsmasq *d, const struct port *ports)
{
    AUTO_FREE char *text = NULL;
    char address[ADDR4_TEXT];
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return -ENOMEM;
    write_gateway(out, d->setup.net);
    for (const struct port *p = ports; p; p = p->next)
        if (p->interface.ipv4 && p->interface.name[0])
            fprintf(out, "%s %s.%s." DNS_SUFFIX " %s\n", addr4_format(p->interface.ipv4, address),
                    p->interface.name, d->setup.net->name, p->interface.name);
    if (fclose(out) != 0)
        return -ENOMEM;
    return write_file(d, "names", text, len);
}

static int write_who(const struct dnsmasq *d, const struct port *ports)
{
    int r = write_hosts(d, ports);

    return r < 0 ? r : write_names(d, ports);
}

/* A line of the lease file: "1700000000 52:54:00:12:34:56 192.168.64.2 web *". */
static bool parse_lease(const char *line, uint32_t ipv4, struct mac *ret)
{
    char mac[MAC_TEXT], address[ADDR4_TEXT];
    uint32_t leased;

    return sscanf(line, "%*s %17s %15s", mac, address) == 2 && addr4_parse(address, &leased) == 0 &&
           leased == ipv4 && mac_parse(mac, ret) == 0;
}

bool dnsmasq_leased_to(const struct dnsmasq *d, uint32_t ipv4, struct mac mac, struct mac *ret)
{
    AUTO_FREE char *text = NULL;
    char *save = NULL;
    struct mac holder;
    size_t len;

    if (file_read(d->setup.dirfd, "leases", LEASES_MAX, &text, &len) < 0)
        return false;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (parse_lease(line, ipv4, &holder) && !mac_equal(holder, mac)) {
            *ret = holder;
            return true;
        }
    return false;
}

/* ---- its process ---------------------------------------------------------------- */

static void tell_ready(struct dnsmasq *d, int err)
{
    d->look = sd_event_source_disable_unref(d->look);
    d->setup.ready(d->setup.arg, err); /* last: it may free us */
}

static int on_look(sd_event_source *source, uint64_t usec, void *arg)
{
    struct dnsmasq *d = arg;

    if (faccessat(d->setup.dirfd, "pid", F_OK, 0) == 0) {
        tell_ready(d, 0);
    } else if (d->waited >= READY_PATIENCE) {
        tell_ready(d, -ETIMEDOUT);
    } else {
        d->waited += READY_STEP;
        (void)sd_event_source_set_time(source, usec + READY_STEP);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    return 0;
}

/* While we wait for its first word this is the answer; later supervise.c starts it
 * again, and nobody has to know. */
static void on_ended(void *arg)
{
    struct dnsmasq *d = arg;

    if (d->look)
        tell_ready(d, -ECHILD);
}

static int start_process(void *arg, struct child *ret)
{
    struct dnsmasq *d = arg;
    const struct spawner_order order = { .kind = CHILD_DNSMASQ,
                                         .network = d->setup.index,
                                         .write_down = d->setup.started,
                                         .arg = d->setup.arg };

    (void)unlinkat(d->setup.dirfd, "pid", 0);
    return spawner_run(d->setup.spawner, &order, ret);
}

int dnsmasq_new(const struct dnsmasq_setup *setup, struct dnsmasq **ret)
{
    struct dnsmasq *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->setup = *setup;
    (void)str_format(d->what, sizeof d->what, "network '%s': dnsmasq", setup->net->name);
    d->process =
        (struct supervised){ .what = d->what, .start = start_process, .ended = on_ended, .arg = d };
    supervise_init(&d->process, setup->event);
    *ret = d;
    return 0;
}

int dnsmasq_start(struct dnsmasq *d, const struct port *ports)
{
    int r;

    r = write_config(d);
    if (r == 0)
        r = write_who(d, ports);
    if (r == 0)
        r = supervise_start(&d->process);
    if (r < 0)
        return r;
    d->waited = 0;
    return sd_event_add_time_relative(d->setup.event, &d->look, CLOCK_MONOTONIC, READY_STEP, 1,
                                      on_look, d);
}

int dnsmasq_adopt(struct dnsmasq *d, pid_t pid, uint64_t born, const struct port *ports)
{
    struct child child;
    int r;

    r = write_config(d);
    if (r == 0)
        r = write_who(d, ports);
    if (r < 0)
        return r;
    if (child_adopt(pid, born, &child) < 0)
        return supervise_start(&d->process);
    (void)d->setup.started(d->setup.arg, &child);
    (void)child_signal(&child, SIGHUP);
    return supervise_adopt(&d->process, &child);
}

int dnsmasq_update(struct dnsmasq *d, const struct port *ports)
{
    int r = write_who(d, ports);

    if (r < 0)
        return r;
    /* One that is just being restarted reads the files anyway. */
    (void)child_signal(&d->process.child, SIGHUP);
    return 0;
}

void dnsmasq_ask_to_end(struct dnsmasq *d)
{
    if (!d)
        return;
    d->look = sd_event_source_disable_unref(d->look);
    supervise_ask_to_end(&d->process);
}

void dnsmasq_free(struct dnsmasq *d)
{
    if (!d)
        return;
    dnsmasq_ask_to_end(d);
    supervise_stop(&d->process);
    free(d);
}

void dnsmasq_leave(struct dnsmasq *d)
{
    if (!d)
        return;
    d->look = sd_event_source_disable_unref(d->look);
    supervise_leave(&d->process);
    free(d);
}
