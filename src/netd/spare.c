/* SPDX-License-Identifier: Apache-2.0 */
/* spare.c - a TAP in advance, one a network.
 *
 * The kernel takes 0.3 ms to register a link and 0.1 to make it a bridge's port, half of what
 * StartInterface takes. So one is made while nobody waits, such as most VMs want it: with one
 * queue and offloads. What others want is made when they want it.
 *
 * It is nobody's yet. It is down, so nothing enters or leaves by it, and the frame filter,
 * which drops what it does not know, does not know it: so it stays even if somebody sets it
 * up. Its only descriptor is ours, attached, so nobody else can attach one, and the kernel
 * takes it away when we die. It is no port: it keeps no network from going, and appears in
 * no inventory.
 */
#include "network.h"

#include "fd.h"
#include "guard.h"
#include "log.h"
#include "mem.h"

#include <string.h>
#include <time.h>

#define RETRY_USEC 1000000u

static int make(struct network *net)
{
    const struct network_tools *tools = &net->all->tools;
    struct spare spare = { .fd = -1 };
    AUTO_FD fd = -1;
    int r;

    port_choose_tap(net, false, spare.tap);
    r = journal_spare_tap(tools->journal, net->index, spare.tap);
    if (r == 0)
        r = tap_create(spare.tap, 1, true, &fd);
    if (r == 0)
        r = spare.ifindex = link_index(tools->links, spare.tap);
    if (r > 0)
        port_take_detour(net, r, spare.tap);
    if (r > 0)
        r = link_plug(tools->links, spare.ifindex, net->bridge_index, net->def.mtu,
                      group_of(net->index), guard_mac, false);
    if (r == 0)
        r = port_refuse_floods(net, spare.ifindex);
    if (r < 0)
        return r;
    spare.fd = fd_take(&fd);
    net->spare = spare;
    return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *arg)
{
    struct networks *all = arg;

    (void)source;
    (void)usec;
    FOREACH_NETWORK(net, all)
    if (net->serves && net->ports)
        ports_take_detour(net);
    FOREACH_NETWORK(net, all)
    if (net->serves && net->spare.fd < 0) {
        int r = make(net);

        if (r == 0)
            continue;
        /* Whoever needs one hears why there is none. */
        log_debug("network '%s': no TAP in advance: %s", net->def.name, strerror(-r));
        spares_make_after(all, RETRY_USEC);
    }
    return 0;
}

int spares_begin(struct networks *all)
{
    int r = sd_event_add_time(all->tools.event, &all->spares, CLOCK_MONOTONIC, 0, 1, on_time, all);

    if (r >= 0)
        r = sd_event_source_set_enabled(all->spares, SD_EVENT_OFF);
    return r < 0 ? r : sd_event_source_set_priority(all->spares, SD_EVENT_PRIORITY_IDLE);
}

void spares_end(struct networks *all)
{
    all->spares = sd_event_source_disable_unref(all->spares);
}

void spares_make_after(const struct networks *all, uint64_t usec)
{
    int enabled = SD_EVENT_OFF;

    (void)sd_event_source_get_enabled(all->spares, &enabled);
    if (enabled != SD_EVENT_OFF)
        return;
    (void)sd_event_source_set_time_relative(all->spares, usec);
    (void)sd_event_source_set_enabled(all->spares, SD_EVENT_ONESHOT);
}

bool spare_fits(const struct network *net, const struct netd_interface *request)
{
    return net->spare.fd >= 0 && request->queues == 1 && request->offload && !request->by_name;
}

int spare_take(struct network *net, int *ret_ifindex)
{
    *ret_ifindex = net->spare.ifindex;
    net->spare.ifindex = 0;
    return fd_take(&net->spare.fd);
}

void spare_end(struct network *net)
{
    net->spare.ifindex = 0;
    fd_closep(&net->spare.fd);
}

void spare_adopt(const struct network *net, const char *tap)
{
    int r = 0;

    if (*tap && !port_find(net, tap)) /* else it was lent before its netd died */
        r = link_delete(net->all->tools.links, tap);
    if (r < 0 && r != -ENODEV)
        (void)log_failure(r, "network '%s': cannot remove %s, which nobody has", net->def.name,
                          tap);
}
