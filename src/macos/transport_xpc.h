/* SPDX-License-Identifier: Apache-2.0 */
/* transport_xpc.h - the Mach service: clients, their requests, and the replies.
 *
 * A request is a dictionary with the string `command`, and for "acquire" the
 * string `network_name`. Its reply has `network`, the serialization, or `error`,
 * the status as an int64, and nothing else. Further commands are
 * "vmnet-broker.list", "vmnet-broker.status" (`network_name` when only one network
 * is wanted) and "vmnet-broker.stop"; their replies have the dictionary `result`,
 * or `error` with the string `message`.
 */
#pragma once
#include "transport.h"
#include "verbs.h"

#include <stdbool.h>

#define MACH_SERVICE "com.github.nirs.vmnet-broker"

struct transport;

/* What the transport reports to main; on the main queue. */
struct transport_events {
    void (*unused)(void); /* the last client that used a network has gone */
    void (*asked_to_leave)(const char *why);
    void (*refused)(void); /* launchd does not give us the service: nobody can reach us */
};

/* Given to broker_new(): how the core answers a call. */
extern const struct transport_ops transport_xpc_ops;

/* Begins to listen. verbs, broker, events, version: borrowed for good. 0 or -ENOMEM. */
int transport_xpc_new(const struct verbs *verbs, struct broker *broker,
                      const struct transport_events *events, const char *version,
                      struct transport **ret);

/* Does a client hold a network, or wait for an answer? */
bool transport_xpc_in_use(const struct transport *transport);

/* Who does: "2 clients (pid 12, 34)". Returns text. */
const char *transport_xpc_users(const struct transport *transport, char *text, size_t size);

/* Calls done() on the main queue when what was answered so far is on its way: a process
 * that exits earlier takes its last replies with it. */
void transport_xpc_flush(struct transport *transport, void (*done)(void));
