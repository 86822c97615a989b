/* SPDX-License-Identifier: Apache-2.0 */
/* ports.c - the TAPs on the networks, as they come: opened for a VM, or taken over from an
 * earlier netd.
 *
 * ports_watch.c notices when they have gone, ports_dnsmasq.c tells dnsmasq of both.
 */
#include "network.h"

#include "bridge.h"
#include "log.h"
#include "mem.h"
#include "str.h"
#include "tap_hold.h"

#include <errno.h>
#include <string.h>

#define PORTS_MAX  4096u /* of one network; the filter's drop counters have room for these */
#define SPARE_USEC 2000u /* and dnsmasq has read it, and whoever asks at once has asked */

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

static void port_link(struct network *net, struct port *port)
{
    struct port **end = &net->ports;

    while (*end)
        end = &(*end)->next;
    *end = port;
    net->n_ports++;
}

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
