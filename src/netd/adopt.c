/* SPDX-License-Identifier: Apache-2.0 */
/* adopt.c - what a dead netd left in this namespace, and what the next one is told.
 *
 * Networks that were built live on, with the dnsmasq that runs; all else is swept. One
 * without a TAP may be held by a client all the same: the broker knows, and has what nobody
 * needs removed. Filter and router tables are made afresh, so that their rules are
 * ours, whatever the dead one's were; in one transaction with all that they must know of
 * the adopted, so that there is no moment without, even if we are killed just here.
 */
#include "network.h"

#include "log.h"
#include "router.h"
#include "str.h"
#include "way_out.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* ---- adopting ---------------------------------------------------------------------- */

static int adopt_network(struct networks *all, struct journal_state *state, uint32_t index,
                         struct netd_why *why)
{
    struct journal_network *old = &state->networks[index];
    struct network *net;
    int r;

    r = network_new(all, &old->network, index, &net);
    if (r == 0)
        r = network_open_directory(net);
    if (r < 0)
        return why_failed(why, r, "network '%s'", old->network.name);
    reservations_set(&net->reserved, old->reservations, old->n_reservations);
    old->reservations = NULL;
    net->bridge_index = r = link_index(all->tools.links, net->bridge);
    if (r < 0)
        return why_failed(why, r, "network '%s': %s", old->network.name, net->bridge);
    r = network_join_host(net, why);
    if (r == 0)
        r = network_plug_host(net, why);
    if (r < 0)
        return r;
    r = network_add_rules(net, why);
    if (r < 0)
        return r;
    network_make_detour(net);
    for (size_t i = 0; i < state->n_taps; i++)
        if (state->taps[i].index == index)
            port_adopt(net, &state->taps[i].interface);
    spare_adopt(net, old->spare_tap);
    r = network_new_dnsmasq(net);
    if (r == 0) {
        ports_find_heirs(net);
        r = dnsmasq_adopt(net->dnsmasq, old->dnsmasq.pid, old->dnsmasq.born, net->ports);
    }
    if (r < 0)
        return why_failed(why, r, "network '%s': cannot adopt its dnsmasq", net->def.name);
    net->serves = true;
    network_watch_leases(net);
    for (size_t i = 0; i < state->n_forwards; i++)
        if (state->forwards[i].index == index)
            network_adopt_forward(net, &state->forwards[i]);
    return 0;
}

/* It was not finished, or cannot be taken over. */
static void sweep_network(struct networks *all, const struct journal_state *state, uint32_t index)
{
    child_end(&state->networks[index].dnsmasq);
    (void)link_delete_group(all->tools.links, group_of(index));
    (void)network_remove_directory(all, index);
    if (state->networks[index].known && !state->networks[index].stranded)
        (void)journal_network_gone(all->tools.journal, index);
}

static bool adopt_or_destroy(struct networks *all, struct journal_state *state, uint32_t index)
{
    struct netd_why why = { 0 }, ignored = { 0 };

    if (adopt_network(all, state, index, &why) == 0) {
        log_info("network '%s': adopted with %u TAPs in use", state->networks[index].network.name,
                 all->at[index]->n_ports);
        return true;
    }
    log_error("cannot adopt, and remove: %s", why.why);
    if (all->at[index])
        (void)network_destroy(all->at[index], &ignored);
    return false;
}

static void on_stranded_over(void *arg, const struct netd_stranded *which)
{
    const struct networks *all = arg;

    all->events.stranded_over(all->events.arg, which);
}

int networks_adopt(struct networks *all, struct journal_state *state, int forwarder,
                   struct netd_why *why)
{
    const struct stranded_setup setup = { .event = all->tools.event,
                                          .spawner = all->tools.spawner,
                                          .journal = all->tools.journal,
                                          .over = on_stranded_over,
                                          .arg = all };
    int r;

    r = stranded_new(&setup, state, &all->stranded);
    if (r < 0)
        return why_failed(why, r, "cannot watch for the VMs of a lost namespace");
    r = networks_make_kernel(all, &state->host_nat); /* the networks ask it for its state */
    if (r < 0)
        return why_failed(why, r, "cannot prepare the kernel uplink");
    /* Both are quickly made again, and their sockets were the dead netd's. */
    for (unsigned slot = 0; slot < UPLINKS_MAX; slot++) {
        child_end(&state->engines[slot]);
        (void)link_delete(all->tools.links, uplink_link(slot));
    }
    child_end(&state->relay);
    way_out_remove_all(all->tools.links);
    for (uint32_t i = 0; i < NETWORKS_MAX; i++) {
        const struct journal_network *old = &state->networks[i];

        child_end(&old->relay);
        if (!old->known || !old->built || !adopt_or_destroy(all, state, i))
            sweep_network(all, state, i);
    }
    networks_sweep_host(all);
    forwards_adopt_forwarder(all->tools.forwards, &state->forwarder, forwarder);
    r = nft_let_go(all->tools.nft);
    if (r < 0)
        return why_refused(why, r, "cannot load nftables rules: %s", nft_error(all->tools.nft));
    router_forget_ended();
    (void)malloc_trim(0); /* megabytes, for the library to read the rules: never again so many */
    networks_share(all);
    spares_make_after(all, 0);
    return 0;
}

/* ---- telling ----------------------------------------------------------------------- */

static struct process process_of(const struct child *child)
{
    return child ? (struct process){ .pid = child->pid, .born = child->born }
                 : (struct process){ .pid = 0 };
}

static int describe_network(const struct network *net, struct journal_state *state)
{
    struct journal_network *ret = &state->networks[net->index];
    size_t size = net->reserved.n * sizeof *ret->reservations;
    int r = 0;

    *ret = (struct journal_network){ .known = true,
                                     .built = net->serves,
                                     .network = net->def,
                                     .dnsmasq = dnsmasq_process(net->dnsmasq),
                                     .relay = process_of(&net->relay.process.child) };
    if (net->spare.fd >= 0)
        memcpy(ret->spare_tap, net->spare.tap, sizeof ret->spare_tap);
    if (size > 0) {
        ret->reservations = malloc(size);
        if (!ret->reservations)
            return -ENOMEM;
        memcpy(ret->reservations, net->reserved.list, size);
        ret->n_reservations = net->reserved.n;
    }
    for (const struct port *p = net->ports; r == 0 && p; p = p->next)
        r = journal_state_add_tap(state, net->index, &p->interface);
    return r;
}

static int describe_all(const struct networks *all, struct journal_state *state)
{
    int r = 0;

    state->relay = process_of(&all->relay.process.child);
    if (all->kernel)
        state->host_nat = *kernel_uplink_plan(all->kernel);
    for (unsigned slot = 0; slot < UPLINKS_MAX; slot++) {
        const struct uplink *uplink = uplinks_at(all->tools.uplinks, slot);

        state->engines[slot] = process_of(uplink ? uplink_child(uplink) : NULL);
    }
    stranded_describe(all->stranded, state);
    FOREACH_NETWORK(net, all)
    if (r == 0)
        r = describe_network(net, state);
    return r < 0 ? r : forwards_describe(all->tools.forwards, state);
}

void networks_shorten_journal(struct networks *all)
{
    struct journal_state *state;
    int r;

    if (!journal_is_long(all->tools.journal))
        return;
    state = journal_state_new();
    r = state ? describe_all(all, state) : -ENOMEM;
    if (r == 0)
        r = journal_begin_again(all->tools.journal, state);
    if (r < 0)
        (void)log_failure(r, "cannot begin the journal again; it goes on growing");
    journal_state_free(state);
}

void networks_leave(struct networks *all)
{
    FOREACH_NETWORK(net, all)
    {
        dnsmasq_leave(net->dnsmasq);
        dns_relay_leave(&net->relay);
        network_free(net);
    }
    forwards_leave(all->tools.forwards);
    dns_relay_leave(&all->relay);
}
