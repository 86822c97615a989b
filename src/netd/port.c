/* SPDX-License-Identifier: Apache-2.0 */
/* port.c - the device of one port. IPv6 is off on it from its birth, by the namespace's
 * default (bridge.c): a TAP is the guest's end of the wire, and the host has no address
 * on it.
 *
 * One that its VM opens by name is made like the others and then let go of, to stay by itself.
 * It ends when it is neither held (tap_hold.h) nor open: of the one we hear from the hold, of
 * the other from the guard, and each looks for the other. */
#include "network.h"

#include "detour.h"
#include "fd.h"
#include "filter.h"
#include "guard.h"
#include "log.h"
#include "tap_hold.h"

#include <stdlib.h>

void port_take_detour(const struct network *net, int ifindex, const char *tap)
{
    int r = net->has_detour ? detour_join(net->all->tools.links, ifindex, group_of(net->index)) : 0;

    if (r < 0)
        (void)log_failure(r, "network '%s': %s writes its checksums where it likes", net->def.name,
                          tap);
}

/* Without a vnet header nobody asks for a checksum; but who opens it by name may choose to have
 * one. */
static void take_detour(const struct port *port)
{
    if (port->interface.offload || port->interface.by_name)
        port_take_detour(port->net, port->ifindex, port->interface.tap);
}

void ports_take_detour(struct network *net)
{
    if (net->has_detour || net->no_detour)
        return;
    network_make_detour(net);
    for (const struct port *port = net->ports; port; port = port->next)
        take_detour(port);
    if (net->spare.fd >= 0)
        port_take_detour(net, net->spare.ifindex, net->spare.tap);
}

int port_refuse_floods(const struct network *net, int ifindex)
{
    struct link_ctx *links = net->all->tools.links;

    return net->def.anti_spoofing == SPOOF_STRICT ? link_refuse_floods(links, ifindex) : 0;
}

int port_pin_mac(const struct network *net, int ifindex, const uint8_t mac[static 6])
{
    struct link_ctx *links = net->all->tools.links;

    return net->def.anti_spoofing == SPOOF_STRICT ? link_pin_mac(links, ifindex, mac) : 0;
}

static int plug(const struct port *port)
{
    const struct network *net = port->net;
    struct link_ctx *links = net->all->tools.links;
    int r = link_plug(links, port->ifindex, net->bridge_index, net->def.mtu, group_of(net->index),
                      guard_mac, true);

    return r < 0 ? r : port_refuse_floods(net, port->ifindex);
}

/* plugged: it is on the bridge already, and down. */
static int connect_port(const struct port *port, bool plugged, struct netd_why *why)
{
    const struct network *net = port->net;
    const struct network_tools *tools = &net->all->tools;
    const struct netd_interface *itf = &port->interface;
    int r;

    r = filter_add_port(tools->nft, net->index, &net->def, itf);
    if (r < 0)
        (void)why_failed(why, r, "cannot filter %s", itf->tap);
    else if (!plugged)
        r = plug(port);
    if (r == 0)
        r = port_pin_mac(net, port->ifindex, itf->mac);
    if (r == 0 && plugged)
        r = link_set_up(tools->links, itf->tap);
    if (r == 0)
        return 0;
    (void)why_failed(why, r, "cannot attach %s to %s", itf->tap, net->bridge);
    /* Also where adding failed: it may be only the kernel's word on it that did not come. */
    (void)filter_remove_port(tools->nft, net->index, &net->def, itf);
    return r;
}

static void close_all(int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        fd_closep(&fds[i]); /* and with the last one goes the TAP */
}

static int make_port(struct port *port, int *ret_fds, struct netd_why *why)
{
    const struct netd_interface *itf = &port->interface;
    int r;

    r = tap_create(itf->tap, itf->queues, itf->offload, ret_fds);
    if (r < 0)
        return why_failed(why, r, "cannot create TAP %s (/dev/net/tun)", itf->tap);
    r = port->ifindex = link_index(port->net->all->tools.links, itf->tap);
    if (r >= 0)
        take_detour(port);
    if (r < 0)
        (void)why_failed(why, r, "cannot find %s", itf->tap);
    else
        r = connect_port(port, false, why);
    if (r < 0)
        close_all(ret_fds, itf->queues);
    return r < 0 ? r : 0;
}

static int make_or_take_port(struct port *port, int *ret_fds, struct netd_why *why)
{
    struct netd_why ignored = { 0 };

    if (spare_fits(port->net, &port->interface)) {
        *ret_fds = spare_take(port->net, &port->ifindex);
        if (connect_port(port, true, &ignored) == 0)
            return 0;
        fd_closep(ret_fds); /* somebody has removed it: then as if there had been none */
    }
    return make_port(port, ret_fds, why);
}

/* ---- by name ------------------------------------------------------------------------ */

static void on_hold_gone(void *arg)
{
    struct port *port = arg;

    tap_hold_free(port->hold);
    port->hold = NULL;
    guard_look(port->net->all->guard, port->ifindex); /* is it still open? */
}

static struct tap_hold_setup hold_setup(struct port *port)
{
    return (struct tap_hold_setup){ .event = port->net->all->tools.event,
                                    .dirfd = port->net->dirfd,
                                    .tap = port->interface.tap,
                                    .gone = on_hold_gone,
                                    .arg = port };
}

/* It stays without us only when nothing can fail any more. fds: the TAP's, which are closed; in
 * their place there is the one that stands for its name. */
static int let_go(struct port *port, int *fds, struct netd_why *why)
{
    const struct tap_hold_setup setup = hold_setup(port);
    int held = -1, r;

    r = tap_hold_new(&setup, &port->hold, &held);
    if (r == 0)
        r = tap_keep(fds[0]);
    close_all(fds, port->interface.queues);
    if (r == 0) {
        *fds = held;
        return 0;
    }
    (void)why_failed(why, r, "cannot lend %s by its name", port->interface.tap);
    fd_closep(&held);
    port_remove(port);
    return r;
}

int port_create(struct port *port, int *ret_fds, struct netd_why *why)
{
    int r = make_or_take_port(port, ret_fds, why);

    return r == 0 && port->interface.by_name ? let_go(port, ret_fds, why) : r;
}

int port_take_over(struct port *port, int ifindex)
{
    const struct network *net = port->net;
    const struct tap_hold_setup setup = hold_setup(port);
    int r;

    port->ifindex = ifindex;
    take_detour(port);
    r = port->interface.by_name ? tap_hold_adopt(&setup, &port->hold) : 0;
    if (r < 0 && r != -ENXIO)
        (void)log_failure(r, "network '%s': who has %s by its name is not known", net->def.name,
                          port->interface.tap);
    r = filter_add_port(net->all->tools.nft, net->index, &net->def, &port->interface);
    if (r == 0)
        r = port_refuse_floods(net, ifindex);
    return r < 0 ? r : port_pin_mac(net, ifindex, port->interface.mac);
}

/* ---- going -------------------------------------------------------------------------- */

void port_remove(struct port *port)
{
    const struct network *net = port->net;
    int r = filter_remove_port(net->all->tools.nft, net->index, &net->def, &port->interface);

    if (r < 0)
        (void)log_failure(r, "network '%s': cannot remove %s from the filter", net->def.name,
                          port->interface.tap);
    if (port->interface.by_name)
        tap_hold_remove(net->dirfd, port->interface.tap);
}

void port_free(struct port *port)
{
    tap_hold_free(port->hold);
    free(port);
}
