/* SPDX-License-Identifier: Apache-2.0 */
/* transport_varlink.c - connections of clients, and the one call of each that is under way.
 *
 * A connection is read only when it has nothing else to do: not while the core works on
 * its call, nor while a reply waits for the client to read. So a client that sends and
 * never reads fills its own socket and nothing of ours. What it says is taken message by
 * message by proceed(), a few a turn, so that no client keeps the loop to itself; proceed()
 * is also the only one that ends a connection on its own account, hence never beneath a
 * verb of the core. That a client has gone while its call is under way shows as EPOLLHUP,
 * which comes whether we read or not.
 *
 * Faults that end a connection are logged once, with the peer. A client that only
 * closes its sending side hears all its answers first.
 */
#include "transport_varlink.h"
#include "fd.h"
#include "kept_reply.h"
#include "listeners.h"
#include "log.h"
#include "mem.h"
#include "str.h"
#include "varlink.h"
#include "varlink_methods.h"
#include "varlink_route.h"
#include "varlink_service.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define BURST       32u        /* calls of one connection in one turn of the loop */
#define OUTPUT_MAX  (4u << 20) /* bytes: the Status of some thousand interfaces */
#define REFUSED_MAX 64u        /* connections kept only to be told why not */

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
    uid_t uid;
    char tag[48]; /* "[peer pid 12 uid 1000]" */
    bool refused; /* by the core; counted */
    char why_refused[256];
    bool eof;    /* the client will say nothing more */
    bool done;   /* close it as soon as all is sent */
    bool broken; /* close it now; logged already */
    bool in_proceed;
};

struct transport {
    sd_event *event;
    const struct verbs *verbs;
    struct broker *broker;
    struct transport_about about;
    struct routes *routes;
    struct listeners *listeners;
    struct kept_reply acquired;
    TAILQ_HEAD(, connection) connections;
    unsigned n_refused;
};

/* ---- the end of a connection ---- */

static void connection_free(struct connection *c)
{
    TAILQ_REMOVE(&c->transport->connections, c, link);
    if (c->peer)
        c->transport->verbs->peer_gone(c->peer); /* the core forgets the call */
    if (c->refused)
        c->transport->n_refused--;
    sd_event_source_disable_unref(c->io);
    sd_event_source_disable_unref(c->soon);
    varlink_free(c->stream);
    listeners_go_on(c->transport->listeners);
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
    if (!c->in_proceed && sd_event_source_set_enabled(c->soon, SD_EVENT_ONESHOT) < 0)
        fault(c, "cannot be scheduled");
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
    (void)sd_event_source_set_io_events(c->io, events);
    if (more && may_take_next(c))
        (void)sd_event_source_set_enabled(c->soon, SD_EVENT_ONESHOT);
}

/* ---- answering ---- */

static void flush(struct connection *c)
{
    int r = varlink_flush(c->stream);
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

static void answer_report(struct call *call, const struct broker_report *report)
{
    struct connection *c = connection_of(call);
    if (report->detailed)
        reply_params(c, status_reply(report, &c->transport->about), false);
    else if (call->more && !call->oneway)
        answer_list_piecewise(c, report);
    else
        reply_params(c, list_reply(report), false);
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
    .answer_done = answer_done,
    .answer_error = answer_error,
};

/* ---- taking a call ---- */

static void refuse(struct connection *c, json_t *error, const struct failure *why)
{
    if (why->why[0] != '\0')
        log_user(c->uid, LOG_LEVEL_INFO, "%s refused: %s", c->tag, why->why);
    reply_message(c, error, false);
}

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
static void proceed(struct connection *c)
{
    int r = 1;

    c->in_proceed = true;
    for (unsigned i = 0; i < BURST && r == 1 && may_take_next(c); i++) {
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

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
    struct connection *c = arg;
    (void)source;
    (void)fd;

    if (revents & EPOLLOUT)
        flush(c);
    if (may_take_next(c)) {
        if (!c->eof && !varlink_has_message(c->stream))
            read_some(c);
    } else if (revents & (EPOLLHUP | EPOLLERR)) {
        c->broken = true; /* gone, and not waiting for our answer any more */
    }
    proceed(c);
    return 0;
}

static int on_soon(sd_event_source *source, void *arg)
{
    (void)source;
    proceed(arg);
    return 0;
}

static int watch_connection(struct connection *c)
{
    sd_event *event = c->transport->event;
    int r = sd_event_add_io(event, &c->io, varlink_fd(c->stream), EPOLLIN, on_io, c);
    if (r >= 0)
        r = sd_event_add_defer(event, &c->soon, on_soon, c);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->soon, SD_EVENT_OFF);
    return r;
}

/* Asks the core for a peer. Whom it refuses is kept, for a while and not too many of them,
 * to be told why in reply to the first request. */
static int admit(struct connection *c, const struct peer_cred *cred)
{
    struct transport *transport = c->transport;
    struct failure failure = { 0 };

    c->peer = transport->verbs->peer_new(transport->broker, cred, &failure);
    if (c->peer)
        return 0;
    log_user(c->uid, LOG_LEVEL_INFO, "%s refused: %s", c->tag, failure.why);
    if (transport->n_refused >= REFUSED_MAX)
        return failure.err;
    transport->n_refused++;
    c->refused = true;
    return str_copy(c->why_refused, sizeof c->why_refused, failure.why);
}

/* fd: taken over. */
static int connection_new(struct transport *transport, int fd, const struct peer_cred *cred)
{
    static const struct varlink_limits limits = { .message_max = VARLINK_REQUEST_MAX,
                                                  .output_max = OUTPUT_MAX };
    AUTO_FD sock = fd;
    struct connection *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->transport = transport;
    TAILQ_INSERT_TAIL(&transport->connections, c, link);
    c->uid = cred->uid;
    (void)str_format(c->tag, sizeof c->tag, "[peer pid %d uid %u]", (int)cred->pid,
                     (unsigned)cred->uid);
    c->stream = varlink_new(sock, &limits);
    int r = c->stream ? 0 : -ENOMEM;
    if (r == 0) {
        (void)fd_take(&sock);
        r = watch_connection(c);
    }
    if (r >= 0)
        r = admit(c, cred);
    if (r < 0)
        connection_free(c);
    return r;
}

/* ---- the transport as an object ---- */

static void on_accepted(void *arg, int fd, const struct peer_cred *cred)
{
    (void)connection_new(arg, fd, cred); /* whom we cannot serve sees it closed */
}

int transport_varlink_new(sd_event *event, const struct verbs *verbs, struct broker *broker,
                          const struct transport_about *about, struct transport **ret)
{
    struct transport *transport = calloc(1, sizeof *transport);
    if (!transport)
        return -ENOMEM;
    transport->event = event;
    transport->verbs = verbs;
    transport->broker = broker;
    transport->about = *about;
    TAILQ_INIT(&transport->connections);
    int r = routes_new(&transport->routes);
    if (r == 0)
        r = listeners_new(event, on_accepted, transport, &transport->listeners);
    if (r < 0) {
        transport_varlink_free(transport);
        return r;
    }
    *ret = transport;
    return 0;
}

void transport_varlink_free(struct transport *transport)
{
    if (!transport)
        return;
    while (!TAILQ_EMPTY(&transport->connections))
        connection_free(TAILQ_FIRST(&transport->connections));
    listeners_free(transport->listeners);
    routes_free(transport->routes);
    kept_reply_clear(&transport->acquired);
    free(transport);
}

int transport_varlink_listen(struct transport *transport, int fd)
{
    return listeners_add(transport->listeners, fd);
}

void transport_varlink_unlisten(struct transport *transport)
{
    listeners_close(transport->listeners);
}
