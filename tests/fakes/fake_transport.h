/* SPDX-License-Identifier: Apache-2.0 */
/* fake_transport.h - a transport without a wire: it writes down what was answered.
 *
 * A test calls the verbs of core/broker.h itself, with calls of its own.
 */
#pragma once
#include "event.h"
#include "transport.h"

#include <stdbool.h>
#include <stddef.h>

enum fake_answer {
    FAKE_NOTHING_YET,
    FAKE_NETWORK,
    FAKE_INTERFACE,
    FAKE_REPORT,
    FAKE_LEASES,
    FAKE_DONE,
    FAKE_ERROR
};

/* What a report said of one network, copied. */
struct fake_network_view {
    char name[NAME_SIZE];
    char state[16];
    unsigned clients, interfaces;
    bool exists;
    size_t n_holders;
    pid_t holders[8];
};

/* What an event said, copied. */
struct fake_event {
    enum event_kind kind;
    char network[NAME_SIZE], message[512];
    bool client, interface;
    unsigned count;
};

struct call {
    enum fake_answer answer;
    const struct net_handle *network; /* FAKE_NETWORK: still the core's */
    enum status status;               /* FAKE_ERROR */
    char message[512];
    struct fake_network_view networks[4]; /* FAKE_REPORT, the first of them */
    size_t n_networks;
    char problem[64];
    uint64_t uptime_usec;
    bool detailed, sees_all;
    struct fake_event events[8]; /* the first of them */
    size_t n_events;
    size_t n_leases; /* FAKE_LEASES */

    /* What a transport may do from inside the answer; NULL: nothing. */
    void (*then)(void *arg);
    void *arg;
};

extern const struct transport_ops fake_transport_ops;
