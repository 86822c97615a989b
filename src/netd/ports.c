/* SPDX-License-Identifier: Apache-2.0 */
/* ports.c - the TAPs on the networks: opened for a VM, noticed when they have gone.
 *
 * A TAP lives as long as some process has it open, and nobody tells us of its end but
 * the kernel, by its link's.
 */
#include "network.h"

#include "bridge.h"
#include "fd.h"
#include "filter.h"
#include "log.h"
#include "log_file.h"
#include "mem.h"
#include "str.h"
#include "tap_hold.h"

#include <string.h>
#include <time.h>

#define PORTS_MAX   4096u /* of one network; the filter's drop counters have room for these */
#define UPDATE_USEC 5000u /* between two; dnsmasq reads all of it again each time */
#define RETRY_USEC  1000000u
#define SPARE_USEC  2000u /* and dnsmasq has read it, and whoever asks at once has asked */

/* ---- may it be? ------------------------------------------------------------------- */

static int check_address(const struct network *net, const struct netd_interface *itf,
                         struct netd_why *why)
{
    const struct netd_reservation *other = reservations_find(&net->reserved, itf->ipv4);
    char text[ADDR4_TEXT];

    if (!itf->ipv4)
        return 0;
    if (other && memcmp(other->mac, itf->mac, sizeof itf->mac) != 0)
        return why_refused(why, -EADDRINUSE, "network '%s': %s is reserved for another MAC address",
                           net->def.name, addr4_format(itf->ipv4, text));
    return vm_address_check(&net->def, itf->ipv4, why);
}

static int check_live(const struct network *net, const struct netd_interface *itf,
                      struct netd_why *why)
{
    for (const struct port *p = net->ports; p; p = p->next) {
        const struct netd_interface *live = &p->interface;
        const char *what = NULL;

        if (memcmp(live->mac, itf->mac, sizeof itf->mac) == 0)
            what = "MAC address";
        else if (itf->ipv4 && live->ipv4 == itf->ipv4)
            what = "IPv4 address";
        else if (itf->name[0] && strcmp(live->name, itf->name) == 0)
            what = "name";
        else if (strcmp(live->id, itf->id) == 0)
            what = "interface id";
        if (what)
            return why_refused(why, -EEXIST, "network '%s': the %s is that of a live VM (%s)",
                               net->def.name, what, live->tap);
    }
    return 0;
}

static int check_port(const struct network *net, const struct netd_interface *itf,
                      struct netd_why *why)
{
    const struct mac gateway = bridge_mac(&net->def);
    int r;

    if (memcmp(gateway.b, itf->mac, sizeof gateway.b) == 0)
        return why_refused(why, -EEXIST, "network '%s': the MAC address is the gateway's",
                           net->def.name);
    if (memcmp(host_mac(net->def.ipv4_base).b, itf->mac, sizeof itf->mac) == 0)
        return why_refused(why, -EEXIST, "network '%s': the MAC address is the host's",
                           net->def.name);
    if (memcmp(guard_mac.b, itf->mac, sizeof guard_mac.b) == 0)
        return why_refused(why, -EEXIST, "the MAC address is that of the TAPs themselves");
    if (itf->name[0] && vm_name_reserved(itf->name))
        return why_refused(why, -EEXIST, "the name '%s' is reserved", itf->name);
    if (net->n_ports >= PORTS_MAX)
        return why_refused(why, -EDQUOT, "network '%s' has %u TAPs already", net->def.name,
                           net->n_ports);
    r = check_address(net, itf, why);
    return r < 0 ? r : check_live(net, itf, why);
}

struct port *port_find(const struct network *net, const char *tap)
{
    struct port *p = net->ports;

    while (p && strcmp(p->interface.tap, tap) != 0)
        p = p->next;
    return p;
}

/* ---- opening ---------------------------------------------------------------------- */

void port_choose_tap(const struct network *net, bool by_name, char tap[static NETD_TAP_SIZE])
{
    for (unsigned k = 0; k <= PORTS_MAX; k++) {
        memset(tap, 0, NETD_TAP_SIZE);
        (void)str_format(tap, NETD_TAP_SIZE, by_name ? "vt%u.%un" : "vt%u.%u", net->index, k);
        if (!port_find(net, tap) && (net->spare.fd < 0 || strcmp(net->spare.tap, tap) != 0))
            return;
    }
}

static void find_heir(const struct network *net, struct port *port)
{
    struct mac own, holder;

    memcpy(own.b, port->interface.mac, sizeof own.b);
    if (!port->interface.ipv4 ||
        !dnsmasq_leased_to(net->dnsmasq, port->interface.ipv4, own, &holder))
        return;
    /* A live VM that has moved to another address asks for it by that MAC. */
    for (const struct port *p = net->ports; p; p = p->next)
        if (memcmp(p->interface.mac, holder.b, sizeof holder.b) == 0)
            return;
    port->heir_of = holder;
}

void ports_find_heirs(struct network *net)
{
    for (struct port *p = net->ports; p; p = p->next)
        if (!p->heir_known) {
            find_heir(net, p);
            p->heir_known = true;
        }
}

static void port_link(struct network *net, struct port *port)
{
    struct port **end = &net->ports;

    while (*end)
        end = &(*end)->next;
    *end = port;
    net->n_ports++;
}

static void port_unlink(struct network *net, struct port *port)
{
    struct port **at = &net->ports;

    while (*at != port)
        at = &(*at)->next;
    *at = port->next;
    net->n_ports--;
}

static uint64_t now_usec(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* As soon as the answer is out, so that whoever has its TAP gets its lease at once; but many
 * that come or go together cost one update. */
void ports_tell_dnsmasq(struct network *net)
{
    struct networks *all = net->all;
    int enabled = SD_EVENT_OFF;

    net->changed = true;
    (void)sd_event_source_get_enabled(all->update, &enabled);
    if (enabled != SD_EVENT_OFF)
        return;
    (void)sd_event_source_set_time(all->update, all->updated + UPDATE_USEC);
    (void)sd_event_source_set_enabled(all->update, SD_EVENT_ONESHOT);
}

static int tell_dnsmasq(struct network *net)
{
    int r;

    ports_find_heirs(net);
    r = dnsmasq_update(net->dnsmasq, net->ports);
    if (r < 0 && journal_gives_room(net->all->tools.journal, r))
        r = dnsmasq_update(net->dnsmasq, net->ports);
    if (r < 0 && !net->untold)
        (void)log_failure(r, "network '%s': cannot write its list of hosts; trying on",
                          net->def.name);
    net->untold = r < 0;
    return r;
}

static int on_update(sd_event_source *source, uint64_t usec, void *arg)
{
    struct networks *all = arg;
    bool again = false;

    (void)usec;
    FOREACH_NETWORK(net, all)
    {
        net->changed = net->changed && net->dnsmasq && tell_dnsmasq(net) < 0;
        again |= net->changed;
    }
    all->updated = now_usec();
    if (again) {
        (void)sd_event_source_set_time(source, all->updated + RETRY_USEC);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    networks_shorten_journal(all); /* which TAPs that come and go have made long, */
    log_file_look();               /* as they have this */
    return 0;
}

/* ---- opening, the last steps ------------------------------------------------------------ */

static int port_open(struct network *net, struct port *port, int *ret_fds, struct netd_why *why)
{
    const struct network_tools *tools = &net->all->tools;
    int r;

    /* Who gets a TAP is to get an address, and for that dnsmasq is told by files. */
    r = journal_room(tools->journal);
    if (r == 0)
        r = journal_tap(tools->journal, net->index, &port->interface);
    if (r < 0)
        return why_unwritten(why, r, tools->state_path);
    if (net->ports)
        ports_take_detour(net);
    r = port_create(port, ret_fds, why);
    if (r < 0) {
        (void)journal_tap_gone(tools->journal, port->interface.tap);
        return r;
    }
    port_link(net, port);
    ports_tell_dnsmasq(net);
    spares_make_after(net->all, SPARE_USEC);
    return 0;
}

int ports_open(struct network *net, const struct netd_interface *request,
               struct netd_interface *ret, int *ret_fds, struct netd_why *why)
{
    struct port *port;
    int r;

    r = check_port(net, request, why);
    if (r < 0)
        return r;
    port = calloc(1, sizeof *port);
    if (!port)
        return why_failed(why, -ENOMEM, "network '%s'", request->network);
    port->net = net;
    port->interface = *request;
    if (spare_fits(net, request))
        memcpy(port->interface.tap, net->spare.tap, sizeof port->interface.tap);
    else
        port_choose_tap(net, request->by_name, port->interface.tap);
    r = port_open(net, port, ret_fds, why);
    if (r < 0) {
        port_free(port);
        return r;
    }
    *ret = port->interface;
    return 0;
}

void port_adopt(struct network *net, const struct netd_interface *itf)
{
    const struct network_tools *tools = &net->all->tools;
    int index = link_index(tools->links, itf->tap), r;
    struct port *port;

    if (index < 0) { /* closed while nobody looked, or never made */
        tap_hold_remove(net->dirfd, itf->tap);
        (void)journal_tap_gone(tools->journal, itf->tap);
        return;
    }
    port = calloc(1, sizeof *port);
    if (!port) {
        log_error("no memory to adopt %s; it passes nothing", itf->tap);
        return;
    }
    port->net = net;
    port->interface = *itf;
    r = port_take_over(port, index);
    if (r < 0)
        (void)log_failure(r, "network '%s': cannot adopt %s well", net->def.name, itf->tap);
    port_link(net, port);
    guard_look(net->all->guard, index);
}

/* ---- going ------------------------------------------------------------------------ */

/* Its last descriptor was closed, and the kernel took the TAP away. */
static void port_gone(struct network *net, struct port *port)
{
    const struct network_tools *tools = &net->all->tools;
    int r;

    port_remove(port);
    r = journal_tap_gone(tools->journal, port->interface.tap);
    if (r < 0)
        (void)log_failure(r, "network '%s': cannot write down that %s has gone", net->def.name,
                          port->interface.tap);
    forwards_end(tools->forwards, net->index, port->interface.id);
    port_unlink(net, port);
    ports_tell_dnsmasq(net);
    net->all->events.tap_gone(net->all->events.arg, &port->interface);
    port_free(port);
}

static void on_link_gone(void *arg, int ifindex)
{
    struct networks *all = arg;

    FOREACH_NETWORK(net, all)
    {
        if (net->spare.ifindex == ifindex)
            spare_end(net);
        for (struct port *p = net->ports; p; p = p->next)
            if (p->ifindex == ifindex) {
                port_gone(net, p);
                return;
            }
    }
}

/* Some messages were lost: look at every port ourselves. A name that is somebody else's
 * by now was free before. */
static void look_at_ports(struct networks *all)
{
    FOREACH_NETWORK(net, all)
    for (struct port *p = net->ports, *next; p; p = next) {
        int index = link_index(all->tools.links, p->interface.tap);

        next = p->next;
        if (index == -ENODEV || (index > 0 && index != p->ifindex))
            port_gone(net, p);
    }
}

/* That it has gone we hear as of any other. */
static void take_away(const struct port *p, enum guard_fault fault)
{
    const struct network *net = p->net;
    int r = link_delete_index(net->all->tools.links, p->ifindex);

    if (r < 0 && r != -ENODEV) /* which it had been told before */
        (void)log_failure(r, "network '%s': cannot remove %s, which %s", net->def.name,
                          p->interface.tap, guard_words[fault]);
    else if (r == 0 && !(p->interface.by_name && fault == GUARD_OUTLIVE)) /* as it was meant */
        log_warning("network '%s': %s (interface '%s' of user %u) %s: removed", net->def.name,
                    p->interface.tap, p->interface.id, p->interface.uid, guard_words[fault]);
}

/* With a neighbour's MAC on its own TAP a guest's VMM has made the bridge forget that one. */
static void pin_all(const struct network *net)
{
    for (const struct port *p = net->ports; p; p = p->next)
        (void)port_pin_mac(net, p->ifindex, p->interface.mac); /* or it learns */
}

/* The VM loses its network, and nobody else does. */
static void on_wrong(void *arg, int ifindex, enum guard_fault fault)
{
    struct networks *all = arg;

    FOREACH_NETWORK(net, all)
    for (const struct port *p = net->ports; p; p = p->next)
        if (p->ifindex == ifindex) {
            if (fault != GUARD_OUTLIVE || !p->hold)
                take_away(p, fault);
            if (fault == GUARD_MAC)
                pin_all(net);
            return;
        }
}

static void on_missed(void *arg)
{
    const struct networks *all = arg;

    FOREACH_NETWORK(net, all)
    for (const struct port *p = net->ports; p; p = p->next)
        guard_look(all->guard, p->ifindex);
}

static int on_monitor(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct networks *all = arg;
    int r;

    (void)source;
    (void)events;
    r = link_monitor_read(fd, on_link_gone, all);
    if (r < 0)
        look_at_ports(all);
    return 0;
}

int ports_watch(struct networks *all)
{
    const struct guard_events watch = { on_wrong, on_missed, all };
    sd_event *event = all->tools.event;
    int r;

    r = all->monitor = link_monitor_open();
    if (r >= 0)
        r = sd_event_add_io(event, &all->monitor_source, all->monitor, EPOLLIN, on_monitor, all);
    if (r >= 0)
        r = sd_event_add_time(event, &all->update, CLOCK_MONOTONIC, 0, 1, on_update, all);
    if (r >= 0)
        r = sd_event_source_set_enabled(all->update, SD_EVENT_OFF);
    if (r >= 0)
        r = spares_begin(all);
    if (r >= 0)
        r = guard_new(event, &watch, &all->guard);
    /* Before requests, or a broker that always has one keeps new VMs from their leases. */
    return r < 0 ? r : sd_event_source_set_priority(all->update, SD_EVENT_PRIORITY_IMPORTANT);
}

void ports_unwatch(struct networks *all)
{
    guard_free(all->guard);
    all->guard = NULL;
    spares_end(all);
    all->update = sd_event_source_disable_unref(all->update);
    all->monitor_source = sd_event_source_disable_unref(all->monitor_source);
    fd_closep(&all->monitor);
}
