/* SPDX-License-Identifier: Apache-2.0 */
/* transport_part.h - what the files of the Varlink transport share: transport_varlink.c
 * (who is let in) and transport_connection.c (what becomes of a connection). */
#pragma once
#include "kept_reply.h"
#include "listeners.h"
#include "share.h"
#include "transport_varlink.h"
#include "varlink.h"
#include "varlink_route.h"

#include <stdbool.h>
#include <sys/queue.h>

struct call {
    bool active; /* the core, or nobody yet, owes the answer */
    bool oneway, more;
};

struct connection {
    TAILQ_ENTRY(connection) link;
    struct transport *transport;
    struct call call;
    struct varlink *stream;
    sd_event_source *io;
    sd_event_source *soon; /* proceed() in the next turn */
    struct peer *peer;     /* NULL: refused */
    struct share *share;   /* its user's */
    uid_t uid;
    char tag[48]; /* "[peer pid 12 uid 1000]" */
    char why_refused[256];
    unsigned missed; /* events that it did not read in time */
    size_t unread;   /* bytes of answers that wait for the client, as counted in its share */
    bool eof;        /* the client will say nothing more */
    bool done;       /* close it as soon as all is sent */
    bool broken;     /* close it now; logged already */
    bool in_proceed;
    bool late; /* its sources have PRIORITY_LATE */
    bool queued;
    TAILQ_ENTRY(connection) in_queue;
    uint32_t revents; /* that came before its turn */
};

struct transport {
    sd_event *event;
    const struct verbs *verbs;
    struct broker *broker;
    struct transport_about about;
    struct routes *routes;
    struct listeners *listeners;
    struct kept_reply acquired;
    struct shares shares;
    TAILQ_HEAD(, connection) connections;
    TAILQ_HEAD(, connection) queue; /* of those who are late; one a turn */
    sd_event_source *turn;
    unsigned n_refused;
};

/* Before the first connection. 0 or a negative errno. */
int connections_take_turns(struct transport *transport);

/* fd, share, peer: taken over. failure: why there is no peer, to be told in reply to the
 * first request. Whom there is no memory for sees the connection closed. */
void connection_begin(struct transport *transport, int fd, const struct peer_cred *cred,
                      struct share *share, struct peer *peer, const struct failure *failure);
void connection_free(struct connection *c);
