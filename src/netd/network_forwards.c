/* SPDX-License-Identifier: Apache-2.0 */
/* network_forwards.c - may this port of the host lead to that VM of a network? */
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static const uint8_t mapped4[12] = { [10] = 0xff, 0xff };

static bool on_loopback(const uint8_t addr[static 16])
{
    static const uint8_t loopback[16] = { [15] = 1 };

    return memcmp(addr, loopback, sizeof loopback) == 0 ||
           (memcmp(addr, mapped4, sizeof mapped4) == 0 && addr[12] == 127);
}

/* How many bits of a target are its link's, of 128; 0: it is not on the network, or it is
 * nobody's, or the gateway. */
static uint32_t link_bits(const struct netd_network *net, const uint8_t target[static 16])
{
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    struct prefix6 prefix = { .len = net->ipv6_len };
    uint8_t gateway[16];
    uint32_t v4;

    if (memcmp(target, mapped4, sizeof mapped4) == 0) {
        memcpy(&v4, target + 12, sizeof v4);
        v4 = ntohl(v4);
        return subnet4_contains(subnet, v4) && v4 != subnet.base &&
                       v4 != (subnet.base | ~subnet4_mask(subnet)) && v4 != subnet4_gateway(subnet)
                   ? 96 + subnet.prefix
                   : 0;
    }
    memcpy(prefix.addr, net->ipv6, sizeof prefix.addr);
    prefix6_gateway(&prefix, gateway);
    return prefix.len == 64 && memcmp(target, prefix.addr, 8) == 0 &&
                   memcmp(target, gateway, 16) != 0
               ? 64
               : 0;
}

static const struct netd_interface *interface_of(const struct network *net, const char *id)
{
    for (const struct port *p = net->ports; p; p = p->next)
        if (strcmp(p->interface.id, id) == 0)
            return &p->interface;
    return NULL;
}

/* A network that nobody outside reaches stays so: the host itself is all that may. */
static int check_forward(const struct network *net, const struct netd_forward *f,
                         struct netd_why *why)
{
    const char *name = net->def.name;

    if (f->interface[0] && !interface_of(net, f->interface))
        return why_refused(why, -ENOENT, "there is no interface '%s' on network '%s'", f->interface,
                           name);
    if (link_bits(&net->def, f->target) == 0)
        return why_refused(why, -EINVAL, "where it is to lead is no VM's address on network '%s'",
                           name);
    if (net->def.mode == NET_MODE_HOST && !on_loopback(f->listen))
        return why_refused(why, -EPERM,
                           "network '%s' is for this host only: its ports must be opened at a "
                           "loopback address",
                           name);
    return 0;
}

int network_add_forward(const struct network *net, const struct netd_forward *f,
                        struct netd_why *why)
{
    const struct forward_place place = { net->index, link_bits(&net->def, f->target) };
    int r = check_forward(net, f, why);

    return r < 0 ? r : forwards_add(net->all->tools.forwards, f, &place, why);
}

void network_adopt_forward(const struct network *net, const struct journal_forward *f)
{
    struct netd_why why = { 0 };

    if (check_forward(net, &f->forward, &why) < 0) /* its VM has gone meanwhile */
        (void)journal_forward_gone(net->all->tools.journal, f->number);
    else
        forwards_adopt(net->all->tools.forwards, f, link_bits(&net->def, f->forward.target));
}
