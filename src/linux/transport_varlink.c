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
#include "idl.h"
#include "log.h"
#include "mem.h"
#include "str.h"
#include "varlink.h"
#include "varlink_methods.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>

#define BURST       32u              /* calls of one connection in one turn of the loop */
#define OUTPUT_MAX  (4u << 20)       /* bytes: the Status of some thousand interfaces */
#define REFUSED_MAX 64u              /* connections kept only to be told why not */
#define PAUSE_USEC  UINT64_C(100000) /* without descriptors, until we accept again */

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
    char tag[48];          /* "[peer pid 12 uid 1000]" */
    bool refused;          /* by the core; counted */
    char why_refused[256];
    bool eof;    /* the client will say nothing more */
    bool done;   /* close it as soon as all is sent */
    bool broken; /* close it now; logged already */
    bool in_proceed;
};

struct listener {
    TAILQ_ENTRY(listener) link;
    struct transport *transport;
    int fd;
    sd_event_source *io;
};

struct transport {
    sd_event *event;
    const struct verbs *verbs;
    struct broker *broker;
    struct transport_about about;
    struct idl *idl, *service;
    TAILQ_HEAD(, connection) connections;
    TAILQ_HEAD(, listener) listeners;
    sd_event_source *pause; /* ends a pause of accepting */
    bool short_of_fds;      /* said once */
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
    free(c);
}

/* The connection is at fault, and ends as soon as nobody stands on it. */
static void fault(struct connection *c, const char *what)
{
    if (!c->broken)
        log_warning("%s %s: connection closed", c->tag, what);
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
    if (r < 0)
        fault(c, r == -ENOBUFS ? "asks for more than can be sent at once"
                               : "cannot be answered for lack of memory");
    else
        flush(c);
    if (!continues) {
        c->call.active = false;
        proceed_soon(c);
    }
    return r;
}

/* params: taken over; NULL: memory was short. */
static void reply_params(struct connection *c, json_t *params, bool continues)
{
    if (c->call.oneway) {
        json_decref(params);
        c->call.active = false;
        proceed_soon(c);
        return;
    }
    (void)reply(c, json_pack("{s:o}", "parameters", params), NULL, continues);
}

/* error: with its interface. params: taken over. */
static void reply_error(struct connection *c, const char *error, json_t *params)
{
    if (c->call.oneway)
        reply_params(c, params, false);
    else
        (void)reply(c, json_pack("{s:s, s:o}", "error", error, "parameters", params), NULL, false);
}

static void reply_status(struct connection *c, enum status status, const char *message)
{
    const char *name = status_error_name(status);
    char error[96];

    if (!name) {
        status = STATUS_INTERNAL_ERROR;
        name = status_error_name(status);
    }
    (void)str_format(error, sizeof error, BROKER_INTERFACE ".%s", name);
    reply_error(c, error,
                json_pack("{s:i, s:o}", "code", (int)status, "message", text_json(message)));
}

static struct connection *connection_of(struct call *call)
{
    return container_of(call, struct connection, call);
}

static void answer_network(struct call *call, const struct net_handle *handle)
{
    reply_params(connection_of(call), acquire_reply(handle), false);
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
    reply_status(connection_of(call), status, message);
}

const struct transport_ops transport_varlink_ops = {
    .answer_network = answer_network,
    .answer_interface = answer_interface,
    .answer_report = answer_report,
    .answer_done = answer_done,
    .answer_error = answer_error,
};

/* ---- org.varlink.service ---- */

static void reply_info(struct connection *c)
{
    json_t *interfaces = json_array();
    for (size_t i = 0; idl_interface(i); i++)
        (void)json_array_append_new(interfaces, json_string(idl_interface(i)));
    reply_params(c,
                 json_pack("{s:s, s:s, s:s, s:s, s:o}", "vendor", "vmnet-broker", "product",
                           "vmnet-broker", "version", c->transport->about.version, "url",
                           "https://github.com/nirs/vmnet-broker", "interfaces", interfaces),
                 false);
}

static void reply_description(struct connection *c, const json_t *params)
{
    const char *interface = json_string_value(json_object_get(params, "interface"));
    const char *text = idl_text(interface);
    if (text)
        reply_params(c, json_pack("{s:s}", "description", text), false);
    else
        reply_error(c, SERVICE_INTERFACE ".InterfaceNotFound",
                    json_pack("{s:s}", "interface", interface));
}

static void run_service(struct connection *c, const char *method, const json_t *params)
{
    if (strcmp(method, "GetInfo") == 0)
        reply_info(c);
    else if (strcmp(method, "GetInterfaceDescription") == 0)
        reply_description(c, params);
    else
        reply_error(c, SERVICE_INTERFACE ".MethodNotImplemented",
                    json_pack("{s:s}", "method", method));
}

/* ---- taking a call ---- */

/* A call whose form is wrong: our interface says so with code 4 and in words, the
 * service interface as the Varlink specification has it. */
static void invalid(struct connection *c, const struct idl *idl, const char *parameter,
                    const char *why)
{
    log_info("%s refused: %s", c->tag, why);
    if (idl == c->transport->idl)
        reply_status(c, STATUS_INVALID_REQUEST, why);
    else
        reply_error(c, SERVICE_INTERFACE ".InvalidParameter",
                    json_pack("{s:s}", "parameter", parameter));
}

/* The members of a call beside its parameters. NULL: good; otherwise the bad one, with words. */
static const char *check_members(json_t *message, struct failure *failure)
{
    const char *key;
    json_t *value;

    json_object_foreach (message, key, value) {
        bool flag = !strcmp(key, "oneway") || !strcmp(key, "more") || !strcmp(key, "upgrade");
        if (!flag && strcmp(key, "method") != 0 && strcmp(key, "parameters") != 0)
            (void)failure_set(failure, -EINVAL, "a call has no member '%.40s'", key);
        else if (flag && !json_is_boolean(value))
            (void)failure_set(failure, -EINVAL, "member '%s' of a call must be a bool", key);
        else if (json_is_true(value) && strcmp(key, "upgrade") == 0)
            (void)failure_set(failure, -EINVAL, "no method can be called with 'upgrade'");
        else
            continue;
        return key;
    }
    return NULL;
}

static void run_method(struct connection *c, const struct idl *idl, const char *name,
                       json_t *message)
{
    const struct verbs *verbs = c->transport->verbs;
    const struct varlink_method *method = varlink_method_find(name);
    const json_t *params = json_object_get(message, "parameters");
    const char *parameter = NULL;
    struct failure failure = { 0 };

    if (json_is_null(params))
        params = NULL;
    if (idl_check(idl, idl_method(idl, name), params, &failure, &parameter) < 0) {
        invalid(c, idl, parameter, failure.why);
        return;
    }
    if (idl == c->transport->service)
        run_service(c, name, params);
    else if (!method)
        reply_error(c, SERVICE_INTERFACE ".MethodNotImplemented",
                    json_pack("{s:s}", "method", name));
    else if (method->run(verbs, c->peer, &c->call, params, &failure) < 0)
        invalid(c, idl, "parameters", failure.why);
}

static bool is_named(const struct idl *idl, const char *name, size_t len)
{
    return strlen(idl_name(idl)) == len && memcmp(idl_name(idl), name, len) == 0;
}

static const struct idl *find_interface(const struct transport *transport, const char *name,
                                        size_t len)
{
    if (is_named(transport->idl, name, len))
        return transport->idl;
    return is_named(transport->service, name, len) ? transport->service : NULL;
}

/* method: "interface.Method". */
static void route(struct connection *c, const char *method, json_t *message)
{
    const char *dot = strrchr(method, '.');
    size_t len = dot ? (size_t)(dot - method) : 0;
    const struct idl *idl = find_interface(c->transport, method, len);
    struct failure failure = { 0 };
    const char *bad;

    if (dot && !idl) {
        reply_error(c, SERVICE_INTERFACE ".InterfaceNotFound",
                    json_pack("{s:s%}", "interface", method, len));
    } else if (!dot || !idl_method(idl, dot + 1)) {
        reply_error(c, SERVICE_INTERFACE ".MethodNotFound", json_pack("{s:s}", "method", method));
    } else if ((bad = check_members(message, &failure))) {
        invalid(c, idl, bad, failure.why);
    } else {
        run_method(c, idl, dot + 1, message);
    }
}

/* One request. message: borrowed. */
static void take_call(struct connection *c, json_t *message)
{
    const json_t *method = json_object_get(message, "method");
    const char *name = json_string_value(method);

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
        reply_status(c, STATUS_NOT_ALLOWED, c->why_refused);
        c->done = true;
        return;
    }
    route(c, name, message);
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
    log_info("%s refused: %s", c->tag, failure.why);
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

/* ---- accepting ---- */

static void listen_all(struct transport *transport, bool on)
{
    struct listener *listener;
    TAILQ_FOREACH (listener, &transport->listeners, link)
        (void)sd_event_source_set_enabled(listener->io, on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source;
    (void)usec;
    listen_all(arg, true);
    return 0;
}

/* Without descriptors or memory the next accept would fail as well, at once and for ever. */
static void pause_accepting(struct transport *transport, int err)
{
    if (!transport->short_of_fds)
        (void)log_failure(err, "cannot accept clients for the moment");
    transport->short_of_fds = true;
    if (sd_event_source_set_time_relative(transport->pause, PAUSE_USEC) >= 0 &&
        sd_event_source_set_enabled(transport->pause, SD_EVENT_ONESHOT) >= 0)
        listen_all(transport, false);
}

/* 0; -EAGAIN: nobody waits; another negative errno: we cannot accept now. */
static int accept_one(struct listener *listener)
{
    AUTO_FD fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) /* not these: the one who waited has gone */
        return errno == ECONNABORTED || errno == EINTR || errno == EPERM ? 0 : -errno;

    struct ucred ucred;
    socklen_t len = sizeof ucred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &len) < 0)
        return 0;
    struct peer_cred cred = { .uid = ucred.uid, .gid = ucred.gid, .pid = ucred.pid };
    (void)connection_new(listener->transport, fd_take(&fd), &cred);
    return 0;
}

static int on_listener(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
    struct listener *listener = arg;
    (void)source;
    (void)fd;
    (void)revents;

    int r = 0;
    for (unsigned i = 0; i < BURST && r == 0; i++)
        r = accept_one(listener);
    if (r == -EAGAIN)
        listener->transport->short_of_fds = false; /* everybody is in */
    else if (r < 0)
        pause_accepting(listener->transport, r);
    return 0;
}

int transport_varlink_listen(struct transport *transport, int fd)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return -ENOMEM;
    listener->transport = transport;
    int flags = fcntl(fd, F_GETFL);
    int r = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
    if (r == 0)
        r = sd_event_add_io(transport->event, &listener->io, fd, EPOLLIN, on_listener, listener);
    if (r < 0) {
        free(listener);
        return r;
    }
    listener->fd = fd;
    TAILQ_INSERT_TAIL(&transport->listeners, listener, link);
    return 0;
}

static void listener_free(struct listener *listener)
{
    TAILQ_REMOVE(&listener->transport->listeners, listener, link);
    sd_event_source_disable_unref(listener->io);
    fd_closep(&listener->fd);
    free(listener);
}

void transport_varlink_unlisten(struct transport *transport)
{
    while (!TAILQ_EMPTY(&transport->listeners))
        listener_free(TAILQ_FIRST(&transport->listeners));
}

/* ---- the transport as an object ---- */

static int read_interface(const char *name, struct idl **ret)
{
    struct failure failure = { 0 };
    int r = idl_read(idl_text(name), ret, &failure);
    if (r == -EINVAL)
        log_error("interface %s: %s", name, failure.why);
    return r;
}

static int prepare(struct transport *transport)
{
    int r = read_interface(BROKER_INTERFACE, &transport->idl);
    if (r == 0)
        r = read_interface(SERVICE_INTERFACE, &transport->service);
    if (r == 0)
        r = sd_event_add_time(transport->event, &transport->pause, CLOCK_MONOTONIC, 0, 0,
                              on_pause_over, transport);
    return r < 0 ? r : sd_event_source_set_enabled(transport->pause, SD_EVENT_OFF);
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
    TAILQ_INIT(&transport->listeners);
    int r = prepare(transport);
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
    transport_varlink_unlisten(transport);
    while (!TAILQ_EMPTY(&transport->connections))
        connection_free(TAILQ_FIRST(&transport->connections));
    sd_event_source_disable_unref(transport->pause);
    idl_free(transport->idl);
    idl_free(transport->service);
    free(transport);
}
