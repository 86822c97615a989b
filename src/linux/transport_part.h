/* SPDX-License-Identifier: Apache-2.0 */
/* transport_part.h - what the files of the Varlink transport share:
 *
 *   transport_varlink.c     the transport as an object, and whom it lets in
 *   transport_connection.c  what a client says, and its one call under way
 *   transport_answers.c     what it hears
 *   transport_rooms.c       whose turn it is
 */
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
    struct peer *peer;   /* NULL: refused */
    struct share *share; /* its user's */
    uid_t uid;
    char tag[48]; /* "[peer pid 12 uid 1000]" */
    char why_refused[256];
    unsigned missed; /* events that it did not read in time */
    size_t unread;   /* bytes of answers that wait for the client, as counted in its share */
    bool eof;        /* the client will say nothing more */
    bool done;       /* close it as soon as all is sent */
    bool broken;     /* close it now; logged already */
    bool in_proceed;

    struct room *room; /* NULL: not yet */
    uint32_t events;   /* that it waits for there */
    bool ready;        /* has something to do, whatever comes */
    TAILQ_ENTRY(connection) in_ready;
};
TAILQ_HEAD(connection_list, connection);

struct room {
    struct transport *transport;
    int epoll; /* of those who are in it */
    struct connection_list ready;
    sd_event_source *io, *soon; /* somebody is heard; somebody is ready */
};
#define ROOMS 2u

struct transport {
    sd_event *event;
    const struct verbs *verbs;
    struct broker *broker;
    struct transport_about about;
    struct routes *routes;
    struct listeners *listeners;
    struct kept_reply acquired;
    struct shares shares;
    struct room rooms[ROOMS];
    struct connection_list connections;
    unsigned n_refused;
};

/* ---- connections ---- */

/* fd, share, peer: taken over. failure: why there is no peer, to be told in reply to the
 * first request. Whom there is no memory for sees the connection closed. */
void connection_begin(struct transport *transport, int fd, const struct peer_cred *cred,
                      struct share *share, struct peer *peer, const struct failure *failure);
void connection_free(struct connection *c);

/* Its turn: events have come (0: it was ready), and it may make so many calls. It may end
 * here, and nowhere else while the transport lives. began: now; returns what the time is
 * afterwards, since the difference is charged to its user. */
uint64_t connection_serve(struct connection *c, uint32_t events, unsigned calls, uint64_t began);

/* It is at fault, says the log, and ends as soon as nobody stands on it. */
void connection_fault(struct connection *c, const char *what);
/* Unless it has its turn right now, it needs one. */
void connection_soon(struct connection *c);

/* ---- answers ---- */

/* Sends what waits to be sent. */
void connection_flush(struct connection *c);
/* After that: where nothing waits any more, tells of the events that were left out before. */
void connection_caught_up(struct connection *c);
/* One reply to the call, the last one unless it continues. message: the whole of it, taken over;
 * NULL: memory was short. */
void connection_reply(struct connection *c, json_t *message, bool continues);
/* error: likewise. why: for the log. */
void connection_refuse(struct connection *c, json_t *error, const struct failure *why);

/* ---- rooms ---- */

/* rooms_close(): also when they were not opened, or not all; after the last connection. */
int rooms_open(struct transport *transport);
void rooms_close(struct transport *transport);

/* 0, or a negative errno and it is in no room. c->events: what it waits for. */
int room_enter(struct connection *c);
void room_leave(struct connection *c); /* in none: fine */
void room_watch(struct connection *c, uint32_t events);
/* It has something to do, although nothing may come: a turn for it. */
void room_soon(struct connection *c);
