/* SPDX-License-Identifier: Apache-2.0 */
/* network.h - one network, and what the rooms behind networks.h know of each other:
 *
 *   networks.c           which there are; calls the others
 *   networks_share.c     what they have together: the relay for names, and the uplinks
 *   adopt.c              what a dead netd left, and what the next one is told; likewise
 *   network.c            builds and removes one
 *   network_way.c        by which uplinks it leaves
 *   network_host.c       the host's own place on it
 *   network_forwards.c   ports of the host that lead to VMs on it
 *   network_stats.c      what can be told of all of them in numbers
 *   ports.c              the TAPs on them: opened for a VM ...
 *   ports_watch.c        ... noticed when they have gone ...
 *   ports_dnsmasq.c      ... and dnsmasq told of both
 *   port.c               the device of one
 *   spare.c              the device of the next one
 */
#pragma once
#include "dns_relay.h"
#include "dnsmasq.h"
#include "guard.h"
#include "kernel_uplink.h"
#include "names.h"
#include "networks.h"
#include "reservations.h"
#include "stranded.h"
#include "supervise.h"
#include "way_out.h"

#include <net/if.h>

struct spare {
    char tap[NETD_TAP_SIZE];
    int ifindex;
    int fd; /* -1: none */
};

struct network {
    struct networks *all;
    struct netd_network def;
    uint32_t index;
    char bridge[IFNAMSIZ];
    int bridge_index;
    char *path;
    int dirfd;
    struct dnsmasq *dnsmasq;
    struct port *ports;
    unsigned n_ports;
    struct reservations reserved;
    struct spare spare;
    struct lease_watch *leases;
    struct dns_relay relay;  /* with DNS servers of its own */
    struct way_out way;      /* by which uplinks it leaves */
    struct netd_uplink told; /* of them, last */
    unsigned host;           /* the host is on it: enum hostside_family */
    bool routed;             /* the router knows it */
    bool serves;             /* the building is over */
    bool has_detour;         /* for frames whose checksum is to be written */
    bool no_detour;          /* because the kernel cannot */
    bool changed;            /* its ports have, and dnsmasq does not know yet */
    bool untold;             /* because its files cannot be written */
    /* After network_make(), once: 0 when it serves, or why it never will. */
    void (*made)(struct network *net, int err, const struct netd_why *why);
    network_built built; /* who waits for that */
    void *built_arg;
};

struct networks {
    struct network_tools tools;
    struct network_events events;
    struct network *at[NETWORKS_MAX]; /* by index */
    struct dns_relay relay;
    int monitor;
    sd_event_source *monitor_source, *update, *spares, *host_news;
    uint64_t updated; /* when dnsmasq was last told */
    struct guard *guard;
    struct kernel_uplink *kernel; /* NULL: of a user instance there is none */
    struct stranded *stranded;    /* their indices are not free */
};

#define FOREACH_NETWORK(net, all)                                                                  \
    for (uint32_t i_ = 0; i_ < NETWORKS_MAX; i_++)                                                 \
        for (struct network *net = (all)->at[i_]; net; net = NULL)

/* ---- adopt.c ------------------------------------------------------------------------ */

/* Begins the journal again when most of it is history. */
void networks_shorten_journal(struct networks *all);

/* ---- network.c -------------------------------------------------------------------- */

/* Only the struct, in its place; it does not serve. */
int network_new(struct networks *all, const struct netd_network *def, uint32_t index,
                struct network **ret);
/* The struct and its ports' go, what they stand for stays. */
void network_free(struct network *net);
/* 0: its made() follows. Otherwise there are words, and network_destroy() is due. */
int network_make(struct network *net, struct netd_why *why);
/* Every step is tried, a thing already gone counts as done, and the first failure is
 * what the caller hears. The struct goes too. */
int network_destroy(struct network *net, struct netd_why *why);

/* The steps of making that adoption takes as well. */
int network_open_directory(struct network *net);
int network_write_down_update(const struct network *net);
int network_add_rules(struct network *net, struct netd_why *why);
int network_new_dnsmasq(struct network *net);
/* Frames have their checksums before the filter looks, where that matters (detour.h). Where
 * the kernel cannot, that is said, and the network goes on. */
void network_make_detour(struct network *net);
/* From now on the broker hears of addresses that are given out. Without it, a network serves
 * as well. */
void network_watch_leases(struct network *net);
int network_remove_directory(const struct networks *all, uint32_t index);

/* ---- networks_share.c ------------------------------------------------------------- */

/* Starts what any of them needs of relay and uplink, and stops what none does. */
void networks_share(struct networks *all);
/* The uplink of an interface of the host's ("": by its routes), there or to be. -EDQUOT: there
 * are too many others. */
int networks_find_slot(const struct networks *all, const char *interface, unsigned *ret);

/* ---- network_way.c ------------------------------------------------------------------- */

bool network_wants_uplink(const struct netd_network *def);
/* Its definition allows the kernel's uplink, and there is one. */
bool network_wants_kernel(const struct network *net);
/* Before its rules are made; routes it there. */
int network_choose_way(struct network *net, struct netd_why *why);
/* By what is known now it may have to leave by others. */
void network_turn(struct network *net);
/* What its clients should know, if that is new; again: in any case. */
void network_tell_way(struct network *net, bool again);

/* ---- network_host.c ------------------------------------------------------------------ */

/* Does nothing where the host is on no network. Joined, it is not plugged into the bridge yet. */
int network_join_host(struct network *net, struct netd_why *why);
int network_plug_host(const struct network *net, struct netd_why *why);
int network_part_host(struct network *net, struct netd_why *why);
int networks_watch_host(struct networks *all);
/* left: of it, by an earlier netd. */
int networks_make_kernel(struct networks *all, const struct host_nat_plan *left);
/* Of what an earlier netd did in the host only the adopted networks' stays. */
void networks_sweep_host(struct networks *all);

/* ---- network_forwards.c ------------------------------------------------------------- */

/* As networks_add_forward(). */
int network_add_forward(const struct network *net, const struct netd_forward *f,
                        struct netd_why *why);
/* One that lives on from an earlier netd; when its VM has gone, it is passed over. */
void network_adopt_forward(const struct network *net, const struct journal_forward *f);

/* ---- port.c ----------------------------------------------------------------------- */

/* The port's TAP on the bridge: made, filtered and up, in this order, so that no frame
 * passes unfiltered. ret_fds: netd_interface_fds() of them, the caller's. On error nothing is
 * left. */
int port_create(struct port *port, int *ret_fds, struct netd_why *why);
/* Takes over the one that an earlier netd made. */
int port_take_over(struct port *port, int ifindex);
/* Its TAP has gone: so does all that stands for it. */
void port_remove(struct port *port);
void port_free(struct port *port); /* only the struct */
/* Where every port has but one MAC, the bridge is told of it, and copies no frame for an unknown
 * one to all: nobody can make it do so, and the frame filter need not look after that. */
int port_refuse_floods(const struct network *net, int ifindex);
int port_pin_mac(const struct network *net, int ifindex, const uint8_t mac[static 6]);
/* What comes in by this device has its checksums first, as far as its network has a detour. */
void port_take_detour(const struct network *net, int ifindex, const char *tap);
/* From now on it has one, for all its ports. It takes the kernel 0.4 to 5 ms, so who waits for
 * the first guest does not wait for this: a guest that is alone has no neighbour to deceive. Made
 * when nobody waits, or before the second guest is let in. Has one already: fine. */
void ports_take_detour(struct network *net);

/* ---- spare.c ---------------------------------------------------------------------- */

int spares_begin(struct networks *all);
void spares_end(struct networks *all);
/* For each network that serves and has none, as soon as there is nothing else to do. */
void spares_make_after(const struct networks *all, uint64_t usec);
bool spare_fits(const struct network *net, const struct netd_interface *request);
/* Its descriptor, the caller's; it is still down. */
int spare_take(struct network *net, int *ret_ifindex);
void spare_end(struct network *net);
/* That of a dead netd ("": none) goes, unless it is a port by now. */
void spare_adopt(const struct network *net, const char *tap);

/* ---- ports.c ---------------------------------------------------------------------- */

/* As networks_open_tap(). */
int ports_open(struct network *net, const struct netd_interface *request,
               struct netd_interface *ret, int *ret_fds, struct netd_why *why);
/* A name that neither a port nor the spare has. by_name: of those that are opened by it. */
void port_choose_tap(const struct network *net, bool by_name, char tap[static NETD_TAP_SIZE]);
struct port *port_find(const struct network *net, const char *tap); /* NULL: none */
/* A TAP that lives on from an earlier netd; one that has gone is passed over. */
void port_adopt(struct network *net, const struct netd_interface *itf);

/* ---- ports_watch.c ---------------------------------------------------------------- */

/* Begins to hear of TAPs that go. */
int ports_watch(struct networks *all);
void ports_unwatch(struct networks *all);

/* ---- ports_dnsmasq.c -------------------------------------------------------------- */

/* ports_watch()'s and ports_unwatch()'s part of it: the clock. */
int ports_dnsmasq_begin(struct networks *all);
void ports_dnsmasq_end(struct networks *all);
/* Who is on the network, or is to be, has changed: dnsmasq hears of it in a moment. */
void ports_tell_dnsmasq(struct network *net);
/* Which of them stand for a DHCP lease of another MAC; dnsmasq is there by now. */
void ports_find_heirs(struct network *net);
