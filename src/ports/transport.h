/* SPDX-License-Identifier: Apache-2.0 */
/* transport.h - how the core answers, whatever the wire is.
 *
 * A transport (linux/transport_varlink.c, macos/transport_xpc.c, or
 * tests/fakes/fake_transport.c) accepts connections, makes a core peer for
 * each, decodes what they say and calls the verbs of core/broker.h with a
 * `struct call`: one request awaiting its answer.
 *
 * The call belongs to the transport. The core answers it exactly once, either
 * from inside the verb or later on the loop thread, unless the peer goes
 * first: after broker_peer_gone() the core has forgotten every call of that
 * peer, and the transport frees them. A transport gives the core one call of a
 * peer at a time, so replies come in order.
 *
 * An answer is the last thing that the core does with a call, and it may lead back
 * into the core: the transport may take up the peer's next request, or report a
 * peer whose connection turns out to be closed, from inside answer_*().
 */
#pragma once
#include "backend.h"
#include "status.h"

#include <sys/types.h>

struct call;
struct lease_view;    /* lease.h: what Leases shows */
struct event;         /* event.h: what Monitor shows */
struct broker_report; /* report.h: what List and Status show */

struct transport_ops {
    /* handle: borrowed; the transport serializes it before returning. */
    void (*answer_network)(struct call *call, const struct net_handle *handle);
    /* handle: becomes the transport's, with its descriptors. */
    void (*answer_interface)(struct call *call, struct iface_handle *handle);
    /* report: borrowed; serialized before returning. */
    void (*answer_report)(struct call *call, const struct broker_report *report);
    /* One of many replies to a Monitor, which ends with its connection only. Never from
     * inside a verb of the same peer but monitor(). What a client does not read in time is
     * left out, and it is told how many were. event: borrowed. */
    void (*answer_event)(struct call *call, const struct event *event);
    /* leases: borrowed. */
    void (*answer_leases)(struct call *call, const struct lease_view *leases, size_t n);
    /* An empty success (Release, Stop). */
    void (*answer_done)(struct call *call);
    /* message: names what, where and the remedy; borrowed. */
    void (*answer_error)(struct call *call, enum status status, const char *message);
};

/* Who is on the other side of a connection, as the kernel vouches for it. */
struct peer_cred {
    uid_t uid;
    gid_t gid;
    pid_t pid;           /* as of connecting: for logs and status, never for decisions */
    const gid_t *groups; /* the supplementary ones, borrowed; NULL: none */
    unsigned n_groups;
};
