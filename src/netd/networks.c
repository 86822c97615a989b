/* SPDX-License-Identifier: Apache-2.0 */
/* networks.c - see networks.h: which networks there are, and may be.
 *
 * network.h lists the rooms. What the broker says of a network is checked here against all the
 * others, since only here they are known; what it means for the one is network.c's.
 */
#include "network.h"

#include "asked.h"
#include "filter.h"
#include "lease_watch.h"
#include "log.h"
#include "mem.h"
#include "router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct network *network_find(const struct networks *all, const char *name)
{
    FOREACH_NETWORK(net, all)
    if (strcmp(net->def.name, name) == 0)
        return net;
    return NULL;
}

/* ---- building and removing --------------------------------------------------------- */

/* What this netd has no means for is refused, never left out. */
static int check_means(const struct networks *all, const struct netd_network *def,
                       struct netd_why *why)
{
    if (def->uplink == UPLINK_KERNEL && all->kernel && def->external_interface[0])
        return why_refused(why, -ENOTSUP,
                           "network '%s': the kernel uplink follows the host's routes; with "
                           "external_interface, uplink must be \"user\" (or \"auto\", which "
                           "chooses that)",
                           def->name);
    if (def->uplink == UPLINK_KERNEL && !all->kernel)
        return why_refused(why, -ENOTSUP,
                           "network '%s': uplink \"kernel\" needs the system instance; a user's "
                           "instance has \"user\" (or \"auto\", which chooses)",
                           def->name);
    return 0;
}

/* The broker has checked all this; we do not take its word. */
static int check_room(const struct networks *all, const struct netd_network *def,
                      struct netd_why *why)
{
    /* The uplink's own, and no network's. */
    const struct subnet4 link_local = { .base = 0xa9fe0000, .prefix = 16 };
    const struct subnet4 wanted = { .base = def->ipv4_base, .prefix = def->ipv4_prefix };
    char text[SUBNET4_TEXT];

    (void)subnet4_format(wanted, text);
    if (network_find(all, def->name))
        return why_refused(why, -EEXIST, "network '%s' exists already", def->name);
    if (subnet4_overlaps(wanted, link_local))
        return why_refused(why, -EADDRINUSE, "subnet %s is link-local", text);
    FOREACH_NETWORK(net, all)
    {
        const struct subnet4 used = { .base = net->def.ipv4_base, .prefix = net->def.ipv4_prefix };

        if (subnet4_overlaps(wanted, used))
            return why_refused(why, -EADDRINUSE, "subnet %s overlaps that of network '%s'", text,
                               net->def.name);
        if (def->ipv6_len && net->def.ipv6_len &&
            memcmp(def->ipv6, net->def.ipv6, sizeof def->ipv6) == 0)
            return why_refused(why, -EADDRINUSE, "the IPv6 prefix is that of network '%s'",
                               net->def.name);
    }
    for (uint32_t i = 0; i < NETWORKS_MAX; i++) {
        const struct netd_stranded *old = stranded_at(all->stranded, i);

        if (old && subnet4_overlaps(wanted, (struct subnet4){ old->ipv4_base, old->ipv4_prefix }))
            return why_refused(why, -EADDRINUSE,
                               "subnet %s is still used by process %d, which has lost network '%s'",
                               text, (int)old->holder, old->network);
    }
    return 0;
}

static int free_index(const struct networks *all, uint32_t *ret)
{
    for (uint32_t i = 0; i < NETWORKS_MAX; i++)
        if (!all->at[i] && !stranded_at(all->stranded, i)) {
            *ret = i;
            return 0;
        }
    return -EDQUOT;
}

/* The end of a build, one way or the other. */
static void on_made(struct network *net, int err, const struct netd_why *why)
{
    struct networks *all = net->all;
    struct netd_why ignored = { 0 };
    network_built built = net->built;
    void *arg = net->built_arg;

    if (err < 0) {
        (void)network_destroy(net, &ignored);
        networks_share(all);
    }
    built(arg, err, why);
    if (err == 0)
        network_tell_way(net, true);
    spares_make_after(all, 0); /* after the answer */
}

int networks_build(struct networks *all, const struct netd_network *def, network_built built,
                   void *arg, struct netd_why *why)
{
    struct netd_why ignored = { 0 };
    struct network *net;
    uint32_t index;
    int r;

    r = check_means(all, def, why);
    if (r == 0)
        r = check_room(all, def, why);
    if (r < 0)
        return r;
    if (free_index(all, &index) < 0)
        return why_refused(why, -EDQUOT, "there are %u networks already", NETWORKS_MAX);
    r = journal_room(all->tools.journal);
    if (r < 0)
        return why_unwritten(why, r, all->tools.state_path);
    r = network_new(all, def, index, &net);
    if (r < 0)
        return why_failed(why, r, "network '%s'", def->name);
    r = journal_network(all->tools.journal, index, def);
    if (r < 0) {
        network_free(net);
        return why_unwritten(why, r, all->tools.state_path);
    }
    net->made = on_made;
    net->built = built;
    net->built_arg = arg;
    r = network_make(net, why);
    if (r < 0)
        (void)network_destroy(net, &ignored); /* undo; the first error is the story */
    networks_share(all);
    return r;
}

int networks_update(struct networks *all, const struct netd_update *update, struct netd_why *why)
{
    struct network *net = network_find(all, update->network);
    bool changed;
    int r;

    if (!net || !net->serves)
        return why_refused(why, -ENOENT, "network '%s' does not exist", update->network);
    r = reservations_take(&net->reserved, update, &net->def, why);
    if (r < 0)
        return r;
    changed = r > 0 || net->def.idle_timeout_sec != update->idle_timeout_sec;
    net->def.idle_timeout_sec = update->idle_timeout_sec;
    if (r > 0)
        ports_tell_dnsmasq(net);
    r = changed ? network_write_down_update(net) : 0;
    if (r < 0) /* whoever comes next is told by the broker */
        (void)log_failure(r, "network '%s': cannot write down its reservations", net->def.name);
    return 0;
}

int networks_remove(struct networks *all, const char *name, struct netd_why *why)
{
    struct network *net = network_find(all, name);
    int r;

    if (!net)
        return why_refused(why, -ENOENT, "network '%s' does not exist", name);
    if (!net->serves)
        return why_refused(why, -EBUSY, "network '%s' is being built", name);
    if (net->ports)
        return why_refused(why, -EBUSY, "network '%s': TAP %s is in use", name,
                           net->ports->interface.tap);
    r = network_destroy(net, why);
    networks_share(all);
    networks_shorten_journal(all);
    return r;
}

int networks_remove_all(struct networks *all, struct netd_why *why)
{
    int first = 0;

    FOREACH_NETWORK(net, all)
    {
        const struct netd_why canceled = { "netd is leaving" };
        int r;

        if (!net->serves)
            net->built(net->built_arg, -ECANCELED, &canceled);
        r = network_destroy(net, why);
        if (first == 0)
            first = r;
    }
    networks_share(all);
    if (first == 0 && all->kernel && kernel_uplink_plan(all->kernel)->transit != 0)
        first = why_refused(why, -EIO,
                            "the host still has what the kernel uplink needed of it; the next netd "
                            "removes that");
    return first;
}

int networks_open_tap(struct networks *all, const struct netd_interface *request,
                      struct netd_interface *ret, int *ret_fds, struct netd_why *why)
{
    struct network *net = network_find(all, request->network);

    if (!net || !net->serves)
        return why_refused(why, -ENOENT, "network '%s' does not exist", request->network);
    if (!net->ports)
        network_turn(net); /* nobody minds now */
    return ports_open(net, request, ret, ret_fds, why);
}

int networks_add_forward(struct networks *all, const struct netd_forward *forward,
                         struct netd_why *why)
{
    const struct network *net = network_find(all, forward->network);

    if (!net || !net->serves)
        return why_refused(why, -ENOENT, "network '%s' does not exist", forward->network);
    networks_shorten_journal(all);
    return network_add_forward(net, forward, why);
}

/* ---- all of them --------------------------------------------------------------------- */

static int on_engine(void *arg, unsigned slot, const struct child *child)
{
    const struct networks *all = arg;

    return child ? journal_child(all->tools.journal, JOURNAL_ENGINE, slot, child->pid, child->born)
                 : 0;
}

static void hear_questions(struct networks *all)
{
    int r = asked_new(all->tools.event, all->tools.nft, &all->tools.asked);

    if (r < 0)
        log_warning("cannot hear when guests ask (nft_quota): every dnsmasq is asked each second "
                    "whether it lives: %s",
                    strerror(-r));
}

int networks_new(const struct network_tools *tools, const struct network_events *events,
                 struct networks **ret, struct netd_why *why)
{
    struct networks *all = calloc(1, sizeof *all);
    int r;

    if (!all)
        return why_failed(why, -ENOMEM, "networks");
    all->tools = *tools;
    all->events = *events;
    all->monitor = -1;
    dns_relay_init(&all->relay, tools->event, tools->spawner, tools->journal, NULL, 0);
    uplinks_set_child_watch(tools->uplinks, on_engine, all);
    r = ports_watch(all);
    if (r >= 0)
        r = networks_watch_host(all);
    if (r < 0)
        (void)why_failed(why, r, "cannot watch links");
    else if ((r = nft_gather(tools->nft)) < 0 || (r = filter_init(tools->nft)) < 0 ||
             (r = router_init(tools->nft)) < 0)
        (void)why_refused(why, r, "cannot load nftables rules: %s", nft_error(tools->nft));
    if (r < 0) {
        networks_free(all);
        return r;
    }
    hear_questions(all);
    *ret = all;
    return 0;
}

void networks_free(struct networks *all)
{
    if (!all)
        return;
    dns_relay_stop(&all->relay);
    uplinks_set_child_watch(all->tools.uplinks, NULL, NULL);
    ports_unwatch(all);
    sd_event_source_disable_unref(all->host_news);
    stranded_free(all->stranded);
    asked_free(all->tools.asked);
    free(all);
}

void networks_tell_leases(const struct networks *all)
{
    FOREACH_NETWORK(net, all)
    lease_watch_tell_all(net->leases);
}

void networks_list(struct networks *all, void (*network)(void *arg, const struct netd_network *),
                   void (*interface)(void *arg, const struct netd_interface *), void *arg)
{
    FOREACH_NETWORK(net, all)
    {
        if (!net->serves)
            continue;
        network(arg, &net->def);
        for (const struct port *p = net->ports; p; p = p->next)
            interface(arg, &p->interface);
    }
}

bool networks_stranded(const struct networks *all,
                       void (*each)(void *arg, const struct netd_stranded *), void *arg)
{
    for (uint32_t i = 0; i < NETWORKS_MAX; i++) {
        const struct netd_stranded *stranded = stranded_at(all->stranded, i);

        if (stranded && each)
            each(arg, stranded);
    }
    return stranded_any(all->stranded);
}

const struct netd_interface *networks_busy(const struct networks *all)
{
    FOREACH_NETWORK(net, all)
    if (net->ports)
        return &net->ports->interface;
    return NULL;
}

uint32_t networks_idle_timeout(const struct networks *all)
{
    uint32_t longest = 0;

    FOREACH_NETWORK(net, all)
    if (net->def.idle_timeout_sec > longest)
        longest = net->def.idle_timeout_sec;
    return longest;
}
