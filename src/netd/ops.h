/* SPDX-License-Identifier: Apache-2.0 */
/* ops.h - everything that netd can be asked to do. */
#pragma once
#include "life.h"
#include "networks.h"
#include "server.h"
#include "uplinks.h"

/* What the operations work on; all borrowed. */
struct ops_context {
    struct networks *networks;
    struct forwards *forwards;
    struct uplinks *uplinks;
    struct server *server;
    struct life *life;
    pid_t anchor;
};

/* Serves one request, whose form netd_msg_check() has seen, and answers it. Negative:
 * it may not be asked now, and the session must end. */
int ops_serve(struct ops_context *ctx, struct session *session, const struct netd_msg *msg);
/* Refuses whoever speaks another version of our messages, and makes way for a newer broker.
 * Negative: the session must end. */
int ops_refuse_version(struct ops_context *ctx, struct session *session,
                       const struct netd_header *header);

/* Events for the broker, if there is one. */
void ops_tap_gone(struct ops_context *ctx, const struct netd_interface *interface);
void ops_lease(struct ops_context *ctx, const struct netd_lease *lease);
void ops_stranded_over(struct ops_context *ctx, const struct netd_stranded *stranded);
void ops_way(struct ops_context *ctx, const struct netd_uplink *uplink);
void ops_uplink(struct ops_context *ctx, const char *interface, const char *engine,
                const char *state);
void ops_anchor(struct ops_context *ctx, pid_t anchor);
void ops_forward(struct ops_context *ctx, const struct netd_forward *forward);
