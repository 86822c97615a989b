/* SPDX-License-Identifier: Apache-2.0 */
/* connection.h - one connection to a broker, used for one call at a time.
 *
 * Shared by the library and vmnet-brokerctl. Blocking, because a caller waits for
 * its answer anyway; never raises SIGPIPE; an interrupting signal is the caller's
 * business and does not end a call. Framing is wire/varlink.h's; this adds calls and
 * replies, and knows nothing of what the methods mean.
 *
 * Which socket belongs to a connection changes only while a lock is held that a
 * fork() takes too, so that a child can always close its copy of it: otherwise the
 * parent's networks would live as long as the child.
 */
#pragma once
#include "idl.h"
#include "status.h"
#include "varlink.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <jansson.h>

struct connection {
    int fd; /* the stream's; -1: none */
    struct varlink *stream;
};

#define CONNECTION_INIT                                                                            \
    {                                                                                              \
        -1, NULL                                                                                   \
    }

/* One reply, owned by whoever received it: reply_clear() it, also after a failure. */
struct reply {
    json_t *message;
    json_t *parameters;       /* borrowed from message; an object, never NULL after success */
    enum status error;        /* STATUS_SUCCESS, or what the broker answered */
    bool continues;           /* more replies to this call follow */
    int fds[VARLINK_FDS_MAX]; /* close-on-exec */
    size_t n_fds;
};

#define REPLY_INIT                                                                                 \
    {                                                                                              \
        NULL, NULL, STATUS_SUCCESS, false, { 0 }, 0                                                \
    }

void reply_clear(struct reply *reply);
#define AUTO_REPLY __attribute__((cleanup(reply_clear))) struct reply
/* What the broker said about its error; "" when it said nothing. Borrowed. */
const char *reply_why(const struct reply *reply);

/* Connects to the socket at path. Returns 0 or what socket(2) or connect(2) said;
 * then the connection is closed. c must be closed or CONNECTION_INIT. */
int connection_open(struct connection *c, const char *path);
/* The uid that listens on the other side, as the kernel vouches for it. */
int connection_server_uid(const struct connection *c, uid_t *ret);
void connection_close(struct connection *c);

/* Sends a call of BROKER_INTERFACE.method; parameters (taken over; NULL: none).
 * -ENOMEM; -E2BIG: longer than a broker would read (nothing was sent); -ECONNRESET: the
 * connection broke. */
int connection_send(struct connection *c, const char *method, json_t *parameters, bool more);
/* Waits for the next reply. -ECONNRESET: the connection broke; -EPROTO: what came is no
 * reply, so that nothing that follows can be understood: close it. */
int connection_receive(struct connection *c, struct reply *ret);
/* Both. An answer that is not asked for counts as -EPROTO. */
int connection_call(struct connection *c, const char *method, json_t *parameters,
                    struct reply *ret);

/* For pthread_atfork(). In the child, connection_forget() between the two. */
void connection_lock_sockets(void);
void connection_unlock_sockets(void);
/* In the child: closes the inherited descriptor, which leaves the parent's connection
 * alone. What another thread had in hand is not freed: it may be half-made. */
void connection_forget(struct connection *c);
