/* SPDX-License-Identifier: Apache-2.0 */
/* ports_dnsmasq.c - dnsmasq hears of who is on its network.
 *
 * By files, of which it reads all again each time: so it is told of many that come or go together
 * at once, in the next turn of the loop, and of more soon after.
 */
#include "network.h"

#include "clock.h"
#include "log.h"
#include "log_file.h"

#include <string.h>
#include <time.h>

#define UPDATE_USEC 5000u /* between two; dnsmasq reads all of it again each time */
#define RETRY_USEC  1000000u

/* ---- who had their addresses ------------------------------------------------------ */

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

/* ---- telling ---------------------------------------------------------------------- */

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
    all->updated = monotonic_usec();
    if (again) {
        (void)sd_event_source_set_time(source, all->updated + RETRY_USEC);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    networks_shorten_journal(all); /* which TAPs that come and go have made long, */
    log_file_look();               /* as they have this */
    return 0;
}

int ports_dnsmasq_begin(struct networks *all)
{
    int r =
        sd_event_add_time(all->tools.event, &all->update, CLOCK_MONOTONIC, 0, 1, on_update, all);

    if (r >= 0)
        r = sd_event_source_set_enabled(all->update, SD_EVENT_OFF);
    /* Before requests, or a broker that always has one keeps new VMs from their leases. */
    return r < 0 ? r : sd_event_source_set_priority(all->update, SD_EVENT_PRIORITY_IMPORTANT);
}

void ports_dnsmasq_end(struct networks *all)
{
    all->update = sd_event_source_disable_unref(all->update);
}
