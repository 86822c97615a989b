/* SPDX-License-Identifier: Apache-2.0 */
/* port.c - the device of one port. IPv6 is off on it from its birth, by the namespace's
 * default (bridge.c): a TAP is the guest's end of the wire, and the host has no address
 * on it. */
#include "network.h"

#include "detour.h"
#include "fd.h"
#include "filter.h"
#include "guard.h"
#include "log.h"

void port_take_detour(const struct network *net, int ifindex, const char *tap)
{
    int r = net->has_detour ? detour_join(net->all->tools.links, ifindex, group_of(net->index)) : 0;

    if (r < 0)
        (void)log_failure(r, "network '%s': %s writes its checksums where it likes", net->def.name,
                          tap);
}

/* plugged: it is on the bridge already, and down. */
static int connect_port(const struct network *net, const struct port *port, bool plugged,
                        struct netd_why *why)
{
    const struct network_tools *tools = &net->all->tools;
    const struct netd_interface *itf = &port->interface;
    int r;

    r = filter_add_port(tools->nft, net->index, &net->def, itf);
    if (r < 0)
        (void)why_failed(why, r, "cannot filter %s", itf->tap);
    else if (plugged)
        r = link_set_up(tools->links, itf->tap);
    else
        r = link_plug(tools->links, port->ifindex, net->bridge_index, net->def.mtu,
                      group_of(net->index), guard_mac, true);
    if (r == 0)
        return 0;
    (void)why_failed(why, r, "cannot attach %s to %s", itf->tap, net->bridge);
    /* Also where adding failed: it may be only the kernel's word on it that did not come. */
    (void)filter_remove_port(tools->nft, net->index, &net->def, itf);
    return r;
}

static int make_port(const struct network *net, struct port *port, int *ret_fds,
                     struct netd_why *why)
{
    const struct netd_interface *itf = &port->interface;
    int r;

    r = tap_create(itf->tap, itf->queues, itf->offload, false, ret_fds);
    if (r < 0)
        return why_failed(why, r, "cannot create TAP %s (/dev/net/tun)", itf->tap);
    r = port->ifindex = link_index(net->all->tools.links, itf->tap);
    if (r >= 0 && itf->offload) /* without a vnet header nobody asks for a checksum */
        port_take_detour(net, r, itf->tap);
    if (r < 0)
        (void)why_failed(why, r, "cannot find %s", itf->tap);
    else
        r = connect_port(net, port, false, why);
    for (uint32_t i = 0; r < 0 && i < itf->queues; i++)
        fd_closep(&ret_fds[i]); /* and with the last one goes the TAP */
    return r;
}

int port_create(struct network *net, struct port *port, int *ret_fds, struct netd_why *why)
{
    struct netd_why ignored = { 0 };

    if (spare_fits(net, &port->interface)) {
        *ret_fds = spare_take(net, &port->ifindex);
        if (connect_port(net, port, true, &ignored) == 0)
            return 0;
        fd_closep(ret_fds); /* somebody has removed it: then as if there had been none */
    }
    return make_port(net, port, ret_fds, why);
}
