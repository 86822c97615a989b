/* SPDX-License-Identifier: Apache-2.0 */
/* broker.h - the verbs of the protocol, and the heart that carries them out.
 *
 * A transport calls one verb a request. The verb checks form and policy, finds
 * or builds the network through registry.h and answers the call through the
 * transport's ops. One file, so that the path of a request can be read from
 * top to bottom.
 */
#pragma once
#include "backend.h"
#include "definitions.h"
#include "loop.h"
#include "policy.h"
#include "transport.h"
#include "verbs.h"

#include <stdbool.h>
#include <stdint.h>

struct broker;
struct peer;

struct broker_config {
    uint32_t idle_timeout_sec; /* of networks that do not say otherwise, and of the broker itself */
    bool exit_when_idle;       /* started on demand: leave after idle_timeout without users */
    /* Asked before it leaves by itself: from now on nobody can connect. true: somebody already
     * had, is a peer, and others can connect again. NULL: who comes too late is the business of
     * whoever starts the next one. */
    bool (*last_call)(void *arg);
    void *last_call_arg;
    bool closed;                          /* clients cannot enter the networks' namespace */
    uid_t owner;                          /* sees everything in List and Status; root always does */
    struct definition_source definitions; /* ops NULL: the built-in networks only */
    struct definition_source
        general_policy;          /* `allow` where definitions have none; ops NULL: all */
    struct accounts accounts;    /* who is meant by a name; NULLs: the machine's */
    struct policy_limits limits; /* what is 0 takes the default of policy.h */
};

/* loop, transport: borrowed, must outlive the broker. Returns NULL without memory. */
struct broker *broker_new(const struct broker_config *config, const struct loop *loop,
                          const struct transport_ops *transport);
/* backend: taken over; its ops->free() is called by broker_free(). Separate from
 * broker_new() because a backend needs broker_backend_events() to be made. */
void broker_set_backend(struct broker *broker, const struct backend *backend);
struct backend_events broker_backend_events(struct broker *broker);
void broker_free(struct broker *broker);

/* Makes what exists what the definitions say now, and creates the persistent networks: once
 * when the backend is set, and whenever a definition may have changed. */
void broker_definitions_changed(struct broker *broker);

/* A connection came. Returns the peer, which lives until broker_peer_gone(), or
 * NULL with *failure filled in (-EDQUOT: this uid has too many; -ENOMEM). */
struct peer *broker_peer_new(struct broker *broker, const struct peer_cred *cred,
                             struct failure *failure);
/* The connection closed for whatever reason: every reference it held is
 * released, every call of it forgotten. */
void broker_peer_gone(struct peer *peer);
const struct peer_cred *broker_peer_cred(const struct peer *peer);

/* All that a transport calls. */
extern const struct verbs broker_verbs;

/* The verbs. Each answers `call` exactly once, now or later (ports/transport.h). */
void broker_acquire(struct peer *peer, struct call *call, const char *network_name);
void broker_release(struct peer *peer, struct call *call, const char *network_name);
void broker_start_interface(struct peer *peer, struct call *call,
                            const struct iface_request *request);
void broker_list(struct peer *peer, struct call *call);
/* network_name NULL: all. */
void broker_status(struct peer *peer, struct call *call, const char *network_name);
/* Who has which address, as far as the peer may see it. network_name NULL: of all. */
void broker_leases(struct peer *peer, struct call *call, const char *network_name);
/* Answers with every event from now on that the peer may see (monitor.h), until it goes. */
void broker_monitor(struct peer *peer, struct call *call);
/* A port of the host leads to a VM from now on: of the asker's, unless the broker is. Without
 * an interface to end with, it ends with the network. */
void broker_add_forward(struct peer *peer, struct call *call,
                        const struct forward_request *request);
/* One of the asker's, unless the broker is. What its definition forwards stays. */
void broker_remove_forward(struct peer *peer, struct call *call,
                           const struct forward_request *request);
/* network_name NULL: of all. */
void broker_list_forwards(struct peer *peer, struct call *call, const char *network_name);
/* Ask an unused broker to exit (leaving.h). In use: STATUS_NOT_ALLOWED, naming the users. */
void broker_stop(struct peer *peer, struct call *call);
