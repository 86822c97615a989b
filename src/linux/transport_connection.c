/* SPDX-License-Identifier: Apache-2.0 */
/* transport_connection.c - connections of clients, and the one call of each that is under way.
 *
 * A connection is read only when it has nothing else to do: not while the core works on
 * its call, nor while a reply waits for the client to read. So a client that sends and
 * never reads fills its own socket and nothing of ours. What it says is taken message by
 * message by proceed(), a few a turn (transport_rooms.c), and proceed() is also the only one
 * that ends a connection on its own account, hence never beneath a verb of the core. That a
 * client has gone while its call is under way shows as EPOLLHUP, which comes whether we read
 * or not.
 *
 * Faults that end a connection are logged once, with the peer. A client that only
 * closes its sending side hears all its answers first.
 */
#include "transport_part.h"

#include "clock.h"
#include "fd.h"
#include "log.h"
#include "mem.h"
#include "str.h"
#include "varlink_service.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define OUTPUT_MAX (4u << 20) /* bytes: the Status of some thousand interfaces */

/* ---- the end of a connection ---- */

void connection_free(struct connection *c)
{
    struct transport *transport = c->transport;

    TAILQ_REMOVE(&transport->connections, c, link);
    if (c->stream)
        room_leave(c);
    if (c->peer) {
        transport->verbs->peer_gone(c->peer); /* the core forgets the call */
    } else {
        transport->n_refused--;
        c->share->refused--;
    }
    c->share->unread -= c->unread;
    share_leave(c->share);
    varlink_free(c->stream);
    listeners_go_on(transport->listeners);
    free(c);
}

void connection_fault(struct connection *c, const char *what)
{
    if (!c->broken)
        log_user(c->uid, LOG_LEVEL_WARNING, "%s %s: connection closed", c->tag, what);
    c->broken = true;
}

/* ---- what we want to hear of ---- */

void connection_soon(struct connection *c)
{
    if (!c->in_proceed)
        room_soon(c);
}

static bool may_take_next(const struct connection *c)
{
    return !c->broken && !c->done && !c->call.active && varlink_pending(c->stream) == 0;
}

static void watch(struct connection *c)
{
    uint32_t events = 0;
    bool more = varlink_has_message(c->stream);

    if (varlink_pending(c->stream) > 0)
        events |= EPOLLOUT;
    if (!c->eof && !more && may_take_next(c))
        events |= EPOLLIN;
    room_watch(c, events);
    if (more && may_take_next(c))
        room_soon(c);
}

/* ---- taking a call ---- */

static void run_method(struct connection *c, const struct route *route)
{
    const struct transport *transport = c->transport;
    struct failure why = { 0 };

    if (!route->method)
        connection_reply(c, varlink_service_reply(route->name, route->params, &transport->about),
                         false);
    else if (route->method->run(transport->verbs, c->peer, &c->call, route->params, &why) < 0)
        connection_refuse(c, status_message(STATUS_INVALID_REQUEST, why.why), &why);
}

/* One request. message: borrowed. */
static void take_call(struct connection *c, json_t *message)
{
    const json_t *method = json_object_get(message, "method");
    const char *name = json_string_value(method);
    struct failure why = { 0 };
    struct route route;
    json_t *error = NULL;

    if (!name || strlen(name) != json_string_length(method)) {
        connection_fault(c, "sent a request without a method");
        return;
    }
    c->call = (struct call){
        .active = true,
        .oneway = json_is_true(json_object_get(message, "oneway")),
        .more = json_is_true(json_object_get(message, "more")),
    };
    if (!c->peer) {
        connection_reply(c, status_message(STATUS_NOT_ALLOWED, c->why_refused), false);
        c->done = true;
        return;
    }
    if (route_find(c->transport->routes, name, message, &route, &error, &why) < 0)
        connection_refuse(c, error, &why);
    else
        run_method(c, &route);
}

/* ---- the life of a connection ---- */

static void refuse_message(struct connection *c, int err)
{
    switch (err) {
    case -EMSGSIZE:
        connection_fault(c, "sent a request over 64 KiB");
        break;
    case -EPROTO:
        connection_fault(c, "sent descriptors where none belong");
        break;
    case -EBADMSG:
        connection_fault(c, "sent what is no JSON object in UTF-8, or is nested too deeply");
        break;
    default:
        connection_fault(c, strerror(-err));
    }
}

/* Takes what was read, ends the connection when it is over, and says what to watch. */
static void proceed(struct connection *c, unsigned calls)
{
    int r = 1;

    c->in_proceed = true;
    for (unsigned i = 0; i < calls && r == 1 && may_take_next(c); i++) {
        json_t *message = NULL;
        r = varlink_next(c->stream, &message);
        if (r == 1)
            take_call(c, message);
        else if (r < 0)
            refuse_message(c, r);
        json_decref(message);
    }
    if (c->eof && r == 0 && varlink_unread(c->stream) > 0)
        connection_fault(c, "ended in the middle of a request");
    c->in_proceed = false;

    bool idle = !c->call.active && varlink_pending(c->stream) == 0;
    bool over = c->done || (c->eof && varlink_unread(c->stream) == 0);
    if (c->broken || (idle && over))
        connection_free(c);
    else
        watch(c);
}

static void read_some(struct connection *c)
{
    int r = varlink_fill(c->stream);
    if (r == 0 || r == -ECONNRESET)
        c->eof = true;
    else if (r < 0 && r != -EAGAIN)
        refuse_message(c, r);
}

uint64_t connection_serve(struct connection *c, uint32_t events, unsigned calls, uint64_t began)
{
    struct share *share = c->share; /* outlives c */

    if (events & EPOLLOUT) {
        connection_flush(c);
        connection_caught_up(c);
    }
    if (may_take_next(c)) {
        if (!c->eof && !varlink_has_message(c->stream))
            read_some(c);
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        c->broken = true; /* gone, and not waiting for our answer any more */
    }
    proceed(c, calls);
    uint64_t now = monotonic_usec();
    time_share_spend(&share->time, began, now);
    return now;
}

/* ---- the beginning ---- */

static struct connection *make(struct transport *transport, const struct peer_cred *cred,
                               struct share *share, struct peer *peer)
{
    struct connection *c = calloc(1, sizeof *c);
    if (!c) {
        if (peer)
            transport->verbs->peer_gone(peer);
        share_leave(share);
        return NULL;
    }
    c->transport = transport;
    c->share = share;
    c->peer = peer;
    if (!peer) {
        share->refused++;
        transport->n_refused++;
    }
    c->uid = cred->uid;
    c->events = EPOLLIN;
    (void)str_format(c->tag, sizeof c->tag, "[peer pid %d uid %u]", (int)cred->pid,
                     (unsigned)cred->uid);
    TAILQ_INSERT_TAIL(&transport->connections, c, link);
    return c;
}

void connection_begin(struct transport *transport, int fd, const struct peer_cred *cred,
                      struct share *share, struct peer *peer, const struct failure *failure)
{
    static const struct varlink_limits limits = { .message_max = VARLINK_REQUEST_MAX,
                                                  .output_max = OUTPUT_MAX };
    AUTO_FD sock = fd;
    struct connection *c = make(transport, cred, share, peer);
    if (!c)
        return;
    (void)str_copy(c->why_refused, sizeof c->why_refused, failure->why);
    c->stream = varlink_new(sock, &limits);
    if (c->stream)
        (void)fd_take(&sock);
    if (!c->stream || room_enter(c) < 0)
        connection_free(c);
}
