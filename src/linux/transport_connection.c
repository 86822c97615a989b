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

#include "fd.h"
#include "log.h"
#include "mem.h"
#include "str.h"
#include "varlink_forwards.h"
#include "varlink_methods.h"
#include "varlink_service.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define OUTPUT_MAX     (4u << 20)  /* bytes: the Status of some thousand interfaces */
#define EVENTS_PENDING (64u << 10) /* bytes of events that a client has not read */
#define UNREAD_MAX     (8u << 20)  /* bytes of one user's answers, whatever the connections */

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

/* The connection is at fault, and ends as soon as nobody stands on it. */
static void fault(struct connection *c, const char *what)
{
    if (!c->broken)
        log_user(c->uid, LOG_LEVEL_WARNING, "%s %s: connection closed", c->tag, what);
    c->broken = true;
}

/* ---- what we want to hear of ---- */

static void proceed_soon(struct connection *c)
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

/* ---- answering ---- */

static void count_unread(struct connection *c)
{
    size_t unread = varlink_pending(c->stream);
    c->share->unread = c->share->unread - c->unread + unread;
    c->unread = unread;
}

static void flush(struct connection *c)
{
    int r = varlink_flush(c->stream);
    count_unread(c);
    if (r < 0) {
        log_debug("%s no longer listens", c->tag);
        c->broken = true;
    }
}

static void end_call(struct connection *c)
{
    c->call.active = false;
    proceed_soon(c);
}

/* Sends what has been queued; r < 0: what could not be. */
static void send_reply(struct connection *c, int r)
{
    if (r < 0)
        fault(c, r == -ENOBUFS ? "asks for more than can be sent at once"
                               : "cannot be answered for lack of memory");
    else
        flush(c);
}

/* Sends one reply, which is the call's last unless it continues. message: taken over; NULL:
 * memory was short. Returns 0 when fds have been taken over too. */
static int reply(struct connection *c, json_t *message, const struct varlink_fds *fds,
                 bool continues)
{
    int r = message ? 0 : -ENOMEM;
    if (r == 0 && continues)
        r = json_object_set_new(message, "continues", json_true());
    if (r == 0)
        r = varlink_queue(c->stream, message, fds);
    json_decref(message);
    send_reply(c, r);
    if (!continues)
        end_call(c);
    return r;
}

/* message: the whole reply; as in reply(). */
static void reply_message(struct connection *c, json_t *message, bool continues)
{
    if (!c->call.oneway) {
        (void)reply(c, message, NULL, continues);
        return;
    }
    json_decref(message);
    end_call(c);
}

/* params: taken over; NULL: memory was short. */
static void reply_params(struct connection *c, json_t *params, bool continues)
{
    reply_message(c, json_pack("{s:o}", "parameters", params), continues);
}

static void refuse(struct connection *c, json_t *error, const struct failure *why)
{
    if (why->why[0] != '\0')
        log_user(c->uid, LOG_LEVEL_INFO, "%s refused: %s", c->tag, why->why);
    reply_message(c, error, false);
}

static struct connection *connection_of(struct call *call)
{
    return container_of(call, struct connection, call);
}

static void answer_network(struct call *call, const struct net_handle *handle)
{
    struct connection *c = connection_of(call);
    if (!call->oneway) {
        const char *text = kept_reply_get(&c->transport->acquired, handle);
        send_reply(c, text ? varlink_queue_text(c->stream, text) : -ENOMEM);
    }
    end_call(c);
}

static void release_interface(void *handle)
{
    iface_handle_free(handle);
}

static void answer_interface(struct call *call, struct iface_handle *handle)
{
    struct connection *c = connection_of(call);
    struct varlink_fds fds = { handle->fds, handle->n_fds, release_interface, handle };

    if (call->oneway) { /* nobody gets it: the TAP goes with its descriptors */
        iface_handle_free(handle);
        reply_params(c, NULL, false);
        return;
    }
    json_t *message = json_pack("{s:o}", "parameters", start_interface_reply(handle));
    if (reply(c, message, &fds, false) < 0)
        iface_handle_free(handle);
}

/* One network a reply; the last one, or the only one without a network, ends the call. */
static void answer_list_piecewise(struct connection *c, const struct broker_report *report)
{
    for (size_t i = 0; i + 1 < report->n_networks; i++)
        reply_params(c, list_reply_one(&report->networks[i]), true);
    size_t n = report->n_networks;
    reply_params(c, list_reply_one(n > 0 ? &report->networks[n - 1] : NULL), false);
}

static void serialize_report(struct connection *c, const struct broker_report *report)
{
    if (report->forwards)
        reply_params(c, forwards_reply(report), false);
    else if (report->detailed)
        reply_params(c, status_reply(report, &c->transport->about), false);
    else if (c->call.more && !c->call.oneway)
        answer_list_piecewise(c, report);
    else
        reply_params(c, list_reply(report), false);
}

/* The only answers that can be large, and that take their time. */
static void answer_report(struct call *call, const struct broker_report *report)
{
    struct connection *c = connection_of(call);
    uint64_t began = monotonic_usec();
    bool in_turn = c->in_proceed; /* which is counted as a whole */
    struct failure why;

    if (c->share->unread <= UNREAD_MAX) {
        serialize_report(c, report);
    } else {
        (void)failure_set(&why, -EDQUOT,
                          "uid %u has %zu bytes of answers that its clients have not read, more "
                          "than the %u that one user may have: read them, or end these clients",
                          (unsigned)c->uid, c->share->unread, UNREAD_MAX);
        refuse(c, status_message(STATUS_NOT_ALLOWED, why.why), &why);
    }
    if (!in_turn)
        time_share_spend(&c->share->time, began, monotonic_usec());
}

/* What waits to be sent is never more than a replyful: a client that does not read misses
 * events, and nothing else. */
static void answer_event(struct call *call, const struct event *event)
{
    struct connection *c = connection_of(call);

    if (call->oneway || c->broken)
        return;
    if (varlink_pending(c->stream) > EVENTS_PENDING) {
        c->missed++;
        return;
    }
    if (c->missed > 0) {
        const struct event missed = { .kind = EVENT_MISSED, .count = c->missed };
        c->missed = 0;
        reply_params(c, event_reply(&missed), true);
    }
    reply_params(c, event_reply(event), true);
    proceed_soon(c);
}

static void answer_leases(struct call *call, const struct lease_view *leases, size_t n)
{
    reply_params(connection_of(call), leases_reply(leases, n), false);
}

static void answer_done(struct call *call)
{
    reply_params(connection_of(call), json_object(), false);
}

static void answer_error(struct call *call, enum status status, const char *message)
{
    reply_message(connection_of(call), status_message(status, message), false);
}

const struct transport_ops transport_varlink_ops = {
    .answer_network = answer_network,
    .answer_interface = answer_interface,
    .answer_report = answer_report,
    .answer_event = answer_event,
    .answer_leases = answer_leases,
    .answer_done = answer_done,
    .answer_error = answer_error,
};

/* ---- taking a call ---- */

static void run_method(struct connection *c, const struct route *route)
{
    const struct transport *transport = c->transport;
    struct failure why = { 0 };

    if (!route->method)
        reply_message(c, varlink_service_reply(route->name, route->params, &transport->about),
                      false);
    else if (route->method->run(transport->verbs, c->peer, &c->call, route->params, &why) < 0)
        refuse(c, status_message(STATUS_INVALID_REQUEST, why.why), &why);
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
        fault(c, "sent a request without a method");
        return;
    }
    c->call = (struct call){
        .active = true,
        .oneway = json_is_true(json_object_get(message, "oneway")),
        .more = json_is_true(json_object_get(message, "more")),
    };
    if (!c->peer) {
        reply_message(c, status_message(STATUS_NOT_ALLOWED, c->why_refused), false);
        c->done = true;
        return;
    }
    if (route_find(c->transport->routes, name, message, &route, &error, &why) < 0)
        refuse(c, error, &why);
    else
        run_method(c, &route);
}

/* ---- the life of a connection ---- */

static void refuse_message(struct connection *c, int err)
{
    switch (err) {
    case -EMSGSIZE:
        fault(c, "sent a request over 64 KiB");
        break;
    case -EPROTO:
        fault(c, "sent descriptors where none belong");
        break;
    case -EBADMSG:
        fault(c, "sent what is no JSON object in UTF-8, or is nested too deeply");
        break;
    default:
        fault(c, strerror(-err));
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
        fault(c, "ended in the middle of a request");
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

    if (events & EPOLLOUT)
        flush(c);
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
