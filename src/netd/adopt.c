/* SPDX-License-Identifier: Apache-2.0 */
/* adopt.c - what a dead netd left in this namespace.
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

#include <signal.h>

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
    r = network_add_rules(net, why);
    if (r < 0)
        return r;
    for (size_t i = 0; i < state->n_taps; i++)
        if (state->taps[i].index == index)
            port_adopt(net, &state->taps[i].interface);
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

static void end_process(const struct process *process)
{
    struct child child;

    if (child_adopt(process->pid, process->born, &child) < 0)
        return;
    (void)child_signal(&child, SIGKILL);
    child_forget(&child);
}

/* It was not finished, or cannot be taken over. */
static void sweep_network(struct networks *all, const struct journal_state *state, uint32_t index)
{
    end_process(&state->networks[index].dnsmasq);
    (void)link_delete_group(all->tools.links, group_of(index));
    (void)network_remove_directory(all, index);
    if (state->networks[index].known)
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

int networks_adopt(struct networks *all, struct journal_state *state, int forwarder,
                   struct netd_why *why)
{
    int r;

    /* Both are quickly made again, and their sockets were the dead netd's. */
    end_process(&state->engine);
    end_process(&state->relay);
    (void)link_delete(all->tools.links, UPLINK_LINK);
    for (uint32_t i = 0; i < NETWORKS_MAX; i++) {
        const struct journal_network *old = &state->networks[i];

        end_process(&old->relay);
        if (!old->known || !old->built || !adopt_or_destroy(all, state, i))
            sweep_network(all, state, i);
    }
    forwards_adopt_forwarder(all->tools.forwards, &state->forwarder, forwarder);
    r = nft_let_go(all->tools.nft);
    if (r < 0)
        return why_refused(why, r, "cannot load nftables rules: %s", nft_error(all->tools.nft));
    networks_share(all);
    return 0;
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
