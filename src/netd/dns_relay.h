/* SPDX-License-Identifier: Apache-2.0 */
/* dns_relay.h - a relay, as netd keeps one: its sockets, its process, its place in the
 * journal. One serves all networks and asks the host's resolver; a network whose definition
 * names DNS servers has one of its own, which asks those.
 */
#pragma once
#include "journal.h"
#include "supervise.h"

struct dns_relay {
    struct supervised process;
    struct spawner *spawner; /* borrowed, as is the journal */
    struct journal *journal;
    const struct netd_network *net; /* whose servers are asked; NULL: the host's resolver */
    uint32_t index;                 /* of that network */
    bool wanted;
    int udp, tcp; /* until it starts: what is asked meanwhile waits there */
    char what[NAME_SIZE + 32];
};

/* Nothing runs yet. net: borrowed; it lives as long as the relay. */
void dns_relay_init(struct dns_relay *relay, sd_event *event, struct spawner *spawner,
                    struct journal *journal, const struct netd_network *net, uint32_t index);
/* Nobody has to wait for the process. A network without names from outside is still a
 * network: a failure is logged. Harmless when it is wanted already. */
void dns_relay_want(struct dns_relay *relay);
/* The process ends; harmless when there is none. */
void dns_relay_stop(struct dns_relay *relay);
/* It lives on, and the next netd ends it. */
void dns_relay_leave(struct dns_relay *relay);

/* Where dnsmasq finds the relay of this network (NULL: of none), whose index it is. */
uint32_t dns_relay_address(const struct netd_network *net, uint32_t index);
