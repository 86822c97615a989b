/* SPDX-License-Identifier: Apache-2.0 */
/* dnsmasq.h - a network's DHCP, DNS and router advertisements.
 *
 * One dnsmasq a network, with a configuration of our own in the network's directory:
 *
 *   dnsmasq.conf   written when the network is built
 *   hosts          MAC, address and name of each port and reservation: the only leases it
 *                  gives out
 *   names          names of VMs, gateway and host
 *   leases, pid    dnsmasq's own
 */
#pragma once
#include "anchor.h"
#include "hostside.h"
#include "port.h"
#include "reservations.h"
#include "spawner.h"

#include <systemd/sd-event.h>

struct asked;
struct dnsmasq;

struct dnsmasq_setup {
    sd_event *event;
    struct spawner *spawner;
    uint32_t index;
    const struct netd_network *net; /* all borrowed */
    const struct reservations *reserved;
    const char *bridge;
    unsigned host;       /* the host is on it, too: enum hostside_family */
    struct asked *asked; /* NULL: nobody hears when guests ask */
    int dirfd;           /* the network's directory ... */
    const char *path;    /* ... and its name for dnsmasq */
    /* A process is about to begin, or was adopted: for the journal. Negative: not now. */
    int (*started)(void *arg, const struct child *child);
    /* Once after dnsmasq_start(): 0 when it serves, or why it does not. */
    void (*ready)(void *arg, int err);
    void *arg;
};

int dnsmasq_new(const struct dnsmasq_setup *setup, struct dnsmasq **ret);
/* Its files, for a network without ports, and a process that waits for dnsmasq_start(), which
 * is what comes next of all that the spawner does. */
int dnsmasq_prepare(struct dnsmasq *d);
/* ready() follows when this returns 0. */
int dnsmasq_start(struct dnsmasq *d);
/* A process of an earlier netd, by the journal's word; starts a new one when that has
 * ended. No ready() follows. */
int dnsmasq_adopt(struct dnsmasq *d, pid_t pid, uint64_t born, const struct port *ports);
/* The process that runs, for the journal; pid 0: none. */
struct process dnsmasq_process(const struct dnsmasq *d);
/* Who is on the network has changed. */
int dnsmasq_update(struct dnsmasq *d, const struct port *ports);
/* Whose lease of this address dnsmasq still keeps, if it is not `mac`'s own. */
bool dnsmasq_leased_to(const struct dnsmasq *d, uint32_t ipv4, struct mac mac, struct mac *ret);
/* It is told to end; dnsmasq_free() waits until it has. */
void dnsmasq_ask_to_end(struct dnsmasq *d);
void dnsmasq_free(struct dnsmasq *d);
/* Forgets it and lets it serve on, for the next netd. */
void dnsmasq_leave(struct dnsmasq *d);
