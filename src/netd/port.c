/* SPDX-License-Identifier: Apache-2.0 */
/* port.c - see port.h. */
#include "port.h"

#include "fd.h"
#include "filter.h"
#include "str.h"

#include <net/if.h>

/* The TAP is the guest's end of the wire, not ours: the host has no address on it. */
static int refuse_addresses(const char *tap)
{
    char knob[64];
    int r = str_format(knob, sizeof knob, "ipv6/conf/%s/disable_ipv6", tap);

    if (r == 0)
        r = sysctl_set(knob, "1");
    return r == -ENOENT ? 0 : r; /* no IPv6 here at all */
}

static int connect_port(struct link_ctx *links, const struct netd_interface *itf,
                        const char *bridge, uint32_t group, const struct netd_network *net,
                        struct netd_why *why)
{
    int r;

    r = refuse_addresses(itf->tap);
    if (r < 0)
        return why_failed(why, r, "cannot switch IPv6 off on %s", itf->tap);
    r = link_plug(links, itf->tap, bridge, net->mtu, group);
    return r < 0 ? why_failed(why, r, "cannot attach %s to %s", itf->tap, bridge) : 0;
}

int port_create(struct link_ctx *links, struct nft *nft, struct port *port, uint32_t index,
                const char *bridge, uint32_t group, const struct netd_network *net, int *ret_fds,
                struct netd_why *why)
{
    const struct netd_interface *itf = &port->interface;
    int r;

    r = tap_create(itf->tap, itf->queues, itf->offload, false, ret_fds);
    if (r < 0)
        return why_failed(why, r, "cannot create TAP %s (/dev/net/tun)", itf->tap);
    port->ifindex = (int)if_nametoindex(itf->tap);
    r = filter_add_port(nft, index, net, itf);
    if (r < 0) {
        (void)why_failed(why, r, "cannot filter %s", itf->tap);
    } else {
        r = connect_port(links, itf, bridge, group, net, why);
        if (r < 0)
            (void)filter_remove_port(nft, index, net, itf);
    }
    for (uint32_t i = 0; r < 0 && i < itf->queues; i++)
        fd_closep(&ret_fds[i]); /* and with the last one goes the TAP */
    return r;
}
