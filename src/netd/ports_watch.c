/* SPDX-License-Identifier: Apache-2.0 */
/* ports_watch.c - the TAPs on the networks, as they go, by themselves or by us.
 *
 * A TAP lives as long as some process has it open, and nobody tells us of its end but the kernel,
 * by its link's. So we never take a port away on somebody's word: whose TAP has to go loses the
 * link (guard.h), and the rest follows as of any other.
 */
#include "network.h"

#include "fd.h"
#include "log.h"

#include <errno.h>

static void port_unlink(struct network *net, struct port *port)
{
    struct port **at = &net->ports;

    while (*at != port)
        at = &(*at)->next;
    *at = port->next;
    net->n_ports--;
}

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
        r = ports_dnsmasq_begin(all);
    if (r >= 0)
        r = spares_begin(all);
    if (r >= 0)
        r = guard_new(event, &watch, &all->guard);
    return r < 0 ? r : 0;
}

void ports_unwatch(struct networks *all)
{
    guard_free(all->guard);
    all->guard = NULL;
    spares_end(all);
    ports_dnsmasq_end(all);
    all->monitor_source = sd_event_source_disable_unref(all->monitor_source);
    fd_closep(&all->monitor);
}
