/* SPDX-License-Identifier: Apache-2.0 */
/* networks.h - all networks that exist, and their ports.
 *
 * A network is a bridge, filter and router rules, a dnsmasq and a directory; together
 * they share one relay (DNS to the host) and the uplinks. Every step down is written
 * to the journal before it is taken.
 */
#pragma once
#include "forwards.h"
#include "hostside.h"
#include "journal.h"
#include "link.h"
#include "nft.h"
#include "spawner.h"
#include "uplinks.h"
#include "why.h"

#include <systemd/sd-event.h>

struct networks;

/* All borrowed; they outlive the networks. */
struct network_tools {
    sd_event *event;
    struct link_ctx *links;
    struct nft *nft;
    struct spawner *spawner;
    struct uplinks *uplinks;
    struct hostside *hostside; /* NULL: the host is on no network of ours */
    struct journal *journal;
    struct forwards *forwards;
    unsigned main_slot;     /* names.h */
    struct asked *asked;    /* networks.c's own; NULL: every dnsmasq is asked again and again */
    int state_dirfd;        /* netd's directory in the state directory ... */
    const char *state_path; /* ... and its name */
};

struct network_events {
    void (*tap_gone)(void *arg, const struct netd_interface *interface);
    void (*lease)(void *arg, const struct netd_lease *lease);
    void (*way)(void *arg, const struct netd_uplink *uplink);               /* of one network */
    void (*stranded_over)(void *arg, const struct netd_stranded *stranded); /* stranded.h */
    void *arg;
};

/* Listeners of the namespace; no network yet. The rules come with networks_adopt(). */
int networks_new(const struct network_tools *tools, const struct network_events *events,
                 struct networks **ret, struct netd_why *why);
/* What a dead netd left in this namespace: built networks live on with their TAPs,
 * others are removed. state: what the journal says already. forwarder: the connection to the
 * dead one's forwarder, taken over; -1: none. The dead one's rules hold until ours take their
 * place, all at once. */
int networks_adopt(struct networks *all, struct journal_state *state, int forwarder,
                   struct netd_why *why);
/* Forgets everything and leaves it as it is, for the next netd. */
void networks_leave(struct networks *all);

/* err 0: it serves. The words live during the call. */
typedef void (*network_built)(void *arg, int err, const struct netd_why *why);

/* 0: built() follows; otherwise it does not, and nothing was left behind. */
int networks_build(struct networks *all, const struct netd_network *def, network_built built,
                   void *arg, struct netd_why *why);
/* Tries every step and returns the first failure. -EBUSY: a TAP is in use. */
int networks_remove(struct networks *all, const char *name, struct netd_why *why);
/* Removes whatever there is; 0 or the first failure. */
int networks_remove_all(struct networks *all, struct netd_why *why);
void networks_free(struct networks *all); /* after networks_remove_all() or networks_leave() */

/* ret: the request with its TAP's name. ret_fds: netd_interface_fds() of them, the caller's. */
int networks_open_tap(struct networks *all, const struct netd_interface *request,
                      struct netd_interface *ret, int *ret_fds, struct netd_why *why);

/* Reservations and idle time. A part of a list that is refused voids the whole list. */
int networks_update(struct networks *all, const struct netd_update *update, struct netd_why *why);

/* As forwards_add(), once it is seen that the network and the VM are there. */
int networks_add_forward(struct networks *all, const struct netd_forward *forward,
                         struct netd_why *why);

/* network() for each that serves, each followed by interface() for its ports. */
void networks_list(struct networks *all, void (*network)(void *arg, const struct netd_network *),
                   void (*interface)(void *arg, const struct netd_interface *), void *arg);
int networks_stats(struct networks *all, void (*each)(void *arg, const struct netd_stats *),
                   void *arg, struct netd_why *why);

/* events.way() for every network of which there is something new, or again for all. */
void networks_tell_ways(const struct networks *all, bool again);
/* events.lease() for every lease there is. */
void networks_tell_leases(const struct networks *all);

/* Calls each() for every stranded network; false: there is none, nor any orphan. */
bool networks_stranded(const struct networks *all,
                       void (*each)(void *arg, const struct netd_stranded *), void *arg);
/* Any TAP that is in use; NULL: none is. */
const struct netd_interface *networks_busy(const struct networks *all);
/* The longest idle timeout of a network; 0 without one. */
uint32_t networks_idle_timeout(const struct networks *all);
