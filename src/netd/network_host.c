/* SPDX-License-Identifier: Apache-2.0 */
/* network_host.c - the host's own place on a network, in a system instance.
 *
 * A veth: one end with the host's addresses in the host (hostside.h), the other a port of the
 * bridge here. The filter lets through what comes from exactly these addresses.
 */
#include "network.h"

#include "bridge.h"
#include "log.h"
#include "str.h"

#include <arpa/inet.h>
#include <errno.h>

static void name_port(const struct network *net, char name[static IFNAMSIZ])
{
    (void)str_format(name, IFNAMSIZ, HOST_PORT "%u", net->index);
}

/* Both ends may be there from an earlier netd: then connections that use them live on. */
int network_join_host(struct network *net, struct netd_why *why)
{
    const struct network_tools *tools = &net->all->tools;
    struct netd_why ignored = { 0 };
    char port[IFNAMSIZ];
    int r = -ENODEV;

    if (!tools->hostside)
        return 0;
    name_port(net, port);
    if (link_index(tools->links, port) > 0)
        r = hostside_join(tools->hostside, net->index, &net->def, true, &net->host, &ignored);
    if (r == -ENODEV) {
        (void)link_delete(tools->links, port); /* half of one */
        r = hostside_join(tools->hostside, net->index, &net->def, false, &net->host, why);
    } else if (r < 0) {
        *why = ignored;
    }
    if (r < 0)
        net->host = 0;
    return r;
}

int network_plug_host(const struct network *net, struct netd_why *why)
{
    struct link_ctx *links = net->all->tools.links;
    char port[IFNAMSIZ];
    int ifindex, r;

    if (!net->host)
        return 0;
    name_port(net, port);
    r = ifindex = link_index(links, port);
    if (r > 0)
        r = link_plug(links, ifindex, net->bridge_index, net->def.mtu, group_of(net->index),
                      guard_mac, true);
    if (r == 0)
        r = port_refuse_floods(net, ifindex);
    if (r == 0)
        r = port_pin_mac(net, ifindex, host_mac(net->def.ipv4_base).b);
    return r < 0 ? why_failed(why, r, "network '%s': cannot put the host onto it", net->def.name)
                 : 0;
}

int network_part_host(struct network *net, struct netd_why *why)
{
    const struct network_tools *tools = &net->all->tools;
    char port[IFNAMSIZ];
    int r;

    net->host = 0;
    if (!tools->hostside)
        return 0;
    r = hostside_part(tools->hostside, net->index, why);
    if (r < 0) { /* with this end the other one goes all the same */
        name_port(net, port);
        (void)link_delete(tools->links, port);
    }
    return r;
}

/* ---- news ---------------------------------------------------------------------------- */

static void on_lost(void *arg, uint32_t index)
{
    const struct networks *all = arg;
    struct network *net = all->at[index];
    struct netd_why why = { 0 };
    int r;

    if (!net || !net->host)
        return;
    r = network_join_host(net, &why);
    if (r == 0)
        r = network_plug_host(net, &why);
    if (r < 0)
        log_error("network '%s': the host is no longer on it: %s", net->def.name, why.why);
    else
        log_info("network '%s': the host is on it again", net->def.name);
}

static void on_changed(void *arg)
{
    const struct networks *all = arg;

    if (all->kernel)
        kernel_uplink_look(all->kernel);
}

static int on_news(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct networks *all = arg;
    const struct hostside_events handlers = { .lost = on_lost, .changed = on_changed, .arg = all };

    (void)fd;
    if (events & EPOLLIN)
        hostside_read_news(all->tools.hostside, &handlers);
    else /* it has died, and whoever watches for that ends us */
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    return 0;
}

int networks_watch_host(struct networks *all)
{
    if (!all->tools.hostside)
        return 0;
    return sd_event_add_io(all->tools.event, &all->host_news, hostside_news_fd(all->tools.hostside),
                           EPOLLIN, on_news, all);
}

void networks_sweep_host(struct networks *all)
{
    struct netd_why why = { 0 };

    if (all->tools.hostside && hostside_sweep(all->tools.hostside, &why) < 0)
        log_error("the host's side: %s", why.why);
}

/* ---- the kernel uplink ----------------------------------------------------------------- */

static void on_way(void *arg)
{
    struct networks *all = arg;

    FOREACH_NETWORK(net, all)
    network_turn(net);
    networks_share(all);
    networks_tell_ways(all, false);
}

static bool on_host_probe(void *arg, struct sockaddr_in *from, struct sockaddr_in *to)
{
    const struct networks *all = arg;

    FOREACH_NETWORK(net, all)
    {
        const struct subnet4 subnet = { net->def.ipv4_base, net->def.ipv4_prefix };

        if (!net->serves || !(net->host & HOSTSIDE_IPV4))
            continue;
        *from = (struct sockaddr_in){ .sin_family = AF_INET,
                                      .sin_port = htons(PROBE_PORT),
                                      .sin_addr.s_addr = htonl(subnet4_gateway(subnet)) };
        *to = *from;
        to->sin_addr.s_addr = htonl(subnet4_host(subnet));
        return true;
    }
    return false;
}

int networks_make_kernel(struct networks *all, const struct host_nat_plan *left)
{
    const struct kernel_uplink_setup setup = { .event = all->tools.event,
                                               .links = all->tools.links,
                                               .nft = all->tools.nft,
                                               .hostside = all->tools.hostside,
                                               .journal = all->tools.journal,
                                               .host_probe = on_host_probe,
                                               .changed = on_way,
                                               .arg = all };

    return all->tools.hostside ? kernel_uplink_new(&setup, left, &all->kernel) : 0;
}
