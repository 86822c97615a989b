/* SPDX-License-Identifier: Apache-2.0 */
/* relay_part.h - what the rooms of the relay share.
 *
 *   relay.c      the process: its sockets, its loop, its clock
 *   relay_udp.c  questions in datagrams
 *   relay_tcp.c  questions in streams
 *   resolvers.c  who is asked
 */
#pragma once
#include "resolvers.h"

#include <systemd/sd-event.h>

#define RELAY_BATCH 64 /* packets in one go, so that nobody has us for himself */

struct relay {
    sd_event *event;
    sd_event_source *tick; /* on while anybody is waiting for anything */
    struct resolvers resolvers;
    struct relay_udp *udp;
    struct relay_tcp *tcp;
};

/* Somebody waits: the clock must go on. */
void relay_keep_ticking(struct relay *relay);

/* How many may ask at a time, for the limit of descriptors: one for each datagram's
 * asker (dnsmasq asks at most 150 at a time, one process a network), two a stream. */
#define RELAY_UDP_MAX 512
#define RELAY_TCP_MAX 64

/* fd: netd's socket, borrowed for good. 0 or a negative errno. */
int relay_udp_start(struct relay *relay, int fd);
int relay_tcp_start(struct relay *relay, int fd);
/* Gives up what has become too late. Is anybody still waiting? */
bool relay_udp_tick(struct relay_udp *udp, uint64_t now);
bool relay_tcp_tick(struct relay_tcp *tcp, uint64_t now);
