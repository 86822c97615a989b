/* SPDX-License-Identifier: Apache-2.0 */
/* event.h - something that happened, as `vmnet-brokerctl monitor` shows it.
 *
 * A borrowed view, valid during the call that tells of it. Whoever notices makes it: the core
 * what clients and networks do, the backend what only it hears of.
 */
#pragma once
#include "addr.h"
#include "report.h"

#include <stdint.h>
#include <sys/types.h>

enum event_kind {
    EVENT_NETWORK_CREATED,
    EVENT_NETWORK_REMOVED,
    EVENT_CLIENT_CAME,
    EVENT_CLIENT_LEFT,
    EVENT_INTERFACE_STARTED,
    EVENT_INTERFACE_STOPPED,
    EVENT_ADDRESS_GIVEN,
    EVENT_UPLINK_CHANGED,
    EVENT_DEFINITION_CHANGED, /* of a network that exists */
    EVENT_DEFINITION_BROKEN,
    EVENT_MISSED, /* some were left out, because they were not read */
    EVENT_KINDS
};

/* Texts: NULL when there is none. */
struct event_interface {
    uid_t uid; /* whose it is */
    const char *id, *name;
    struct mac mac;
    uint32_t ipv4; /* 0: none */
};

struct event {
    enum event_kind kind;
    const char *network;                     /* NULL: it is about none */
    const struct client_view *client;        /* who came or left; NULL: not to be told */
    const struct event_interface *interface; /* likewise */
    const char *message;                     /* what there is to say besides, or NULL */
    unsigned count; /* clients, interfaces that there are now; how many were missed */
};
