/* SPDX-License-Identifier: Apache-2.0 */
/* transport_varlink.h - clients of the broker over Varlink (ports/transport.h). */
#pragma once
#include "report.h"
#include "transport.h"
#include "verbs.h"

#include <systemd/sd-event.h>

/* What GetInfo and Status tell about the broker itself. Borrowed for good. */
struct transport_about {
    const char *version;
    const char *instance; /* "user" or "system" */
    const char *state_directory;
    const char *log; /* where the log goes: a path, or "journal" */
};

/* Given to broker_new(): how the core answers a call. */
extern const struct transport_ops transport_varlink_ops;

struct transport;

/* event, verbs, broker: borrowed, must outlive the transport. 0 or a negative errno. */
int transport_varlink_new(sd_event *event, const struct verbs *verbs, struct broker *broker,
                          const struct transport_about *about, struct transport **ret);

/* Accept clients on a listening stream socket: taken over on success. Several may be
 * given. 0 or a negative errno. */
int transport_varlink_listen(struct transport *transport, int fd);

/* From now on nobody can connect; whoever already had is a client like others. Returns whether
 * there was one: for them another socket is due, and transport_varlink_unlisten(). */
bool transport_varlink_shut(struct transport *transport);

/* Closes the listening sockets; clients that are connected stay. */
void transport_varlink_unlisten(struct transport *transport);

/* Closes every connection (the core hears peer_gone for each) and listening socket. */
void transport_varlink_free(struct transport *transport); /* NULL is fine */
