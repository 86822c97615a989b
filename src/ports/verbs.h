/* SPDX-License-Identifier: Apache-2.0 */
/* verbs.h - what a transport asks of the core.
 *
 * The same functions as in core/broker.h, which says what each does; as a table,
 * because a transport does not see the core. broker_verbs has them, a test of a
 * transport brings its own.
 */
#pragma once
#include "transport.h"

struct broker;
struct peer;

struct verbs {
    struct peer *(*peer_new)(struct broker *broker, const struct peer_cred *cred,
                             struct failure *failure);
    void (*peer_gone)(struct peer *peer);

    /* Each answers `call` exactly once, now or later (transport.h). */
    void (*acquire)(struct peer *peer, struct call *call, const char *network_name);
    void (*release)(struct peer *peer, struct call *call, const char *network_name);
    void (*start_interface)(struct peer *peer, struct call *call,
                            const struct iface_request *request);
    void (*list)(struct peer *peer, struct call *call);
    void (*status)(struct peer *peer, struct call *call, const char *network_name);
    void (*leases)(struct peer *peer, struct call *call, const char *network_name);
    void (*monitor)(struct peer *peer, struct call *call);
    void (*add_forward)(struct peer *peer, struct call *call,
                        const struct forward_request *request);
    void (*remove_forward)(struct peer *peer, struct call *call,
                           const struct forward_request *request);
    void (*list_forwards)(struct peer *peer, struct call *call, const char *network_name);
    void (*stop)(struct peer *peer, struct call *call);
};
