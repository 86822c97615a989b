/* SPDX-License-Identifier: Apache-2.0 */
/* transport_xpc.c - from XPC events to the core's verbs, and back.
 *
 * All of it runs on the main queue. libxpc owns a client's connection and ends it
 * with exactly one CONNECTION_INVALID, whoever went first; that event alone frees
 * the client here. The core gets one call of a client at a time; what more a
 * client asks waits in its queue, which is short, and is refused beyond that.
 *
 * Nothing is done for a message that cannot be answered: it would take a network
 * of which nobody ever hears.
 */
#include "transport_xpc.h"

#include "accounts.h"
#include "log.h"
#include "mem.h"
#include "net_handle.h"
#include "str.h"
#include "xpc_report.h"
#include "xpc_request.h"

#include <dispatch/dispatch.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <xpc/xpc.h>

#define CALLS_MAX   32u /* of one client, waiting; a real one has one */
#define REFUSED_MAX 64u /* clients kept only to be told why not */
#define FLUSH_SEC   2

/* One request awaiting its answer. */
struct call {
    TAILQ_ENTRY(call) link;
    struct client *client;
    enum xpc_command command;
    xpc_object_t request, reply; /* retained */
    const char *network;         /* in the request; NULL: none */
};

struct client {
    TAILQ_ENTRY(client) link;
    struct transport *transport;
    xpc_connection_t connection; /* libxpc's, alive until CONNECTION_INVALID */
    struct peer *peer;           /* NULL: refused, for the reason below */
    char why_refused[256];
    TAILQ_HEAD(, call) calls; /* the first one may be with the core */
    unsigned n_calls;
    bool with_core, pumping;
    bool holds; /* was given a network; there is no giving back but to leave */
    int pid;
    uid_t uid;
};

struct transport {
    xpc_connection_t listener;
    const struct verbs *verbs;
    struct broker *broker;
    const struct transport_events *events;
    const char *version;
    TAILQ_HEAD(client_list, client) clients;
    unsigned n_refused;
    unsigned sending; /* replies that libxpc has not sent yet */
    void (*flushed)(void);
};

/* ---- who uses networks ---- */

static bool client_uses(const struct client *client)
{
    return client->holds || client->n_calls > 0;
}

bool transport_xpc_in_use(const struct transport *transport)
{
    const struct client *client;
    TAILQ_FOREACH (client, &transport->clients, link)
        if (client_uses(client))
            return true;
    return false;
}

const char *transport_xpc_users(const struct transport *transport, char *text, size_t size)
{
    const struct client *client;
    char pids[64] = "";
    unsigned n = 0;

    TAILQ_FOREACH (client, &transport->clients, link) {
        char more[80];
        if (!client_uses(client))
            continue;
        n++;
        if (str_format(more, sizeof more, "%s%s%d", pids, n > 1 ? ", " : "pid ", client->pid) ==
                0 &&
            strlen(more) < sizeof pids - 4)
            (void)str_copy(pids, sizeof pids, more);
    }
    (void)str_format(text, size, "%u client%s (%s)", n, n == 1 ? "" : "s", pids);
    return text;
}

/* ---- calls ---- */

static void flushed(struct transport *transport)
{
    void (*done)(void) = transport->flushed;
    transport->flushed = NULL;
    if (done)
        done();
}

static void sent(struct transport *transport)
{
    if (--transport->sending == 0)
        flushed(transport);
}

static void send_reply(struct client *client, xpc_object_t reply)
{
    struct transport *transport = client->transport;
    xpc_connection_send_message(client->connection, reply);
    transport->sending++;
    xpc_connection_send_barrier(client->connection, ^{
      dispatch_async(dispatch_get_main_queue(), ^{
        sent(transport);
      });
    });
}

static void call_free(struct call *call)
{
    TAILQ_REMOVE(&call->client->calls, call, link);
    call->client->n_calls--;
    xpc_release(call->reply);
    xpc_release(call->request);
    free(call);
}

static void tell_if_unused(struct transport *transport)
{
    if (!transport_xpc_in_use(transport))
        transport->events->unused();
}

static void run(struct client *client, struct call *call)
{
    const struct verbs *verbs = client->transport->verbs;
    switch (call->command) {
    case XPC_ACQUIRE:
        verbs->acquire(client->peer, call, call->network);
        break;
    case XPC_LIST:
        verbs->list(client->peer, call);
        break;
    case XPC_STATUS:
        verbs->status(client->peer, call, call->network);
        break;
    case XPC_STOP:
        verbs->stop(client->peer, call);
        break;
    case XPC_COMMANDS:
        break;
    }
}

/* Gives the core one call after the other. An answer that comes from inside a verb
 * is noticed by the loop here, so that a long queue does not become a deep stack. */
static void pump(struct client *client)
{
    struct call *call;
    if (client->pumping)
        return;
    client->pumping = true;
    while (!client->with_core && (call = TAILQ_FIRST(&client->calls))) {
        client->with_core = true;
        run(client, call);
    }
    client->pumping = false;
}

/* The core has answered. */
static void finish(struct call *call)
{
    struct client *client = call->client;
    struct transport *transport = client->transport;
    send_reply(client, call->reply);
    call_free(call);
    client->with_core = false;
    pump(client);
    tell_if_unused(transport);
}

static void answer_network(struct call *call, const struct net_handle *handle)
{
    xpc_dictionary_set_value(call->reply, "network", handle->serialization);
    call->client->holds = true;
    finish(call);
}

static void answer_report(struct call *call, const struct broker_report *report)
{
    xpc_object_t result = xpc_report(report, call->client->transport->version);
    xpc_dictionary_set_value(call->reply, "result", result);
    xpc_release(result);
    finish(call);
}

static void answer_done(struct call *call)
{
    xpc_object_t result = xpc_dictionary_create_empty();
    xpc_dictionary_set_value(call->reply, "result", result);
    xpc_release(result);
    finish(call);
}

static void fill_error(xpc_object_t reply, bool seed_protocol, enum status status,
                       const char *message)
{
    xpc_dictionary_set_int64(reply, "error", status);
    if (!seed_protocol)
        xpc_dictionary_set_string(reply, "message", message);
}

static void answer_error(struct call *call, enum status status, const char *message)
{
    fill_error(call->reply, call->command == XPC_ACQUIRE, status, message);
    finish(call);
}

/* answer_interface is missing: clients start interfaces themselves. */
const struct transport_ops transport_xpc_ops = {
    .answer_network = answer_network,
    .answer_report = answer_report,
    .answer_done = answer_done,
    .answer_error = answer_error,
};

/* ---- requests ---- */

/* Without the core: what is refused before it becomes a call. */
static void refuse(struct client *client, xpc_object_t request, xpc_object_t reply,
                   enum status status, const char *why)
{
    log_user(client->uid, LOG_LEVEL_INFO, "[pid %d] refused: %s", client->pid, why);
    fill_error(reply, !xpc_request_is_ours(request), status, why);
    send_reply(client, reply);
    xpc_release(reply);
}

static void enqueue(struct client *client, xpc_object_t request, xpc_object_t reply,
                    enum xpc_command command, const char *network)
{
    struct call *call = calloc(1, sizeof *call);
    if (!call) {
        refuse(client, request, reply, STATUS_INTERNAL_ERROR, "the broker is short of memory");
        return;
    }
    call->client = client;
    call->command = command;
    call->request = xpc_retain(request);
    call->network = network;
    call->reply = reply;
    TAILQ_INSERT_TAIL(&client->calls, call, link);
    client->n_calls++;
    pump(client);
}

static void handle_request(struct client *client, xpc_object_t request)
{
    enum xpc_command command;
    const char *network, *wrong;

    xpc_object_t reply = xpc_dictionary_create_reply(request);
    if (!reply) {
        log_user(client->uid, LOG_LEVEL_INFO,
                 "[pid %d] sent a message that wants no reply: ignored", client->pid);
        return;
    }
    if (!client->peer) {
        refuse(client, request, reply, STATUS_NOT_ALLOWED, client->why_refused);
    } else if (client->n_calls >= CALLS_MAX) {
        refuse(client, request, reply, STATUS_NOT_ALLOWED,
               "too many requests at a time: wait for the answers");
    } else if ((wrong = xpc_request_parse(request, &command, &network))) {
        refuse(client, request, reply, STATUS_INVALID_REQUEST, wrong);
    } else {
        enqueue(client, request, reply, command, network);
    }
}

/* ---- clients ---- */

/* The connection is gone for good; nothing more will come from it. */
static void client_gone(struct client *client)
{
    struct transport *transport = client->transport;
    struct call *call;
    bool used = client_uses(client);

    if (client->peer)
        transport->verbs->peer_gone(client->peer); /* the core forgets the calls */
    else
        transport->n_refused--;
    while ((call = TAILQ_FIRST(&client->calls)))
        call_free(call);
    TAILQ_REMOVE(&transport->clients, client, link);
    free(client);
    if (used)
        tell_if_unused(transport);
}

static void handle_error(struct client *client, xpc_object_t error)
{
    if (error == XPC_ERROR_CONNECTION_INVALID)
        client_gone(client);
    else if (error == XPC_ERROR_TERMINATION_IMMINENT)
        client->transport->events->asked_to_leave("the system wants this process to end");
}

/* XPC tells the effective user and group only; who else the user belongs to, the accounts. */
static struct peer *introduce(struct transport *transport, xpc_connection_t connection,
                              struct failure *failure)
{
    struct peer_cred cred = {
        .uid = xpc_connection_get_euid(connection),
        .gid = xpc_connection_get_egid(connection),
        .pid = xpc_connection_get_pid(connection),
    };
    gid_t *groups = NULL;
    int r = account_groups(cred.uid, cred.gid, &groups, &cred.n_groups);
    cred.groups = groups;
    struct peer *peer = NULL;
    if (r < 0)
        (void)failure_set(failure, r, "the broker is short of memory: try again");
    else
        peer = transport->verbs->peer_new(transport->broker, &cred, failure);
    free(groups);
    return peer;
}

static struct client *client_new(struct transport *transport, xpc_connection_t connection)
{
    struct failure failure = { 0 };
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->transport = transport;
    client->connection = connection;
    client->pid = (int)xpc_connection_get_pid(connection);
    client->uid = xpc_connection_get_euid(connection);
    TAILQ_INIT(&client->calls);
    client->peer = introduce(transport, connection, &failure);
    if (!client->peer) {
        (void)str_copy(client->why_refused, sizeof client->why_refused, failure.why);
        transport->n_refused++;
    }
    TAILQ_INSERT_TAIL(&transport->clients, client, link);
    return client;
}

/* A peer must get a handler and be activated, or be cancelled. */
static void accept_client(struct transport *transport, xpc_connection_t connection)
{
    struct client *client = NULL;
    if (transport->n_refused < REFUSED_MAX)
        client = client_new(transport, connection);
    if (!client) {
        log_user(xpc_connection_get_euid(connection), LOG_LEVEL_WARNING,
                 "[pid %d] cannot be served: too many connections, or memory is short",
                 (int)xpc_connection_get_pid(connection));
        xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
          (void)event;
        });
        xpc_connection_cancel(connection);
        return;
    }
    xpc_connection_set_target_queue(connection, dispatch_get_main_queue());
    xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
      if (xpc_get_type(event) == XPC_TYPE_DICTIONARY)
          handle_request(client, event);
      else
          handle_error(client, event);
    });
    xpc_connection_activate(connection);
}

/* ---- the service ---- */

static void handle_listener(struct transport *transport, xpc_object_t event)
{
    if (xpc_get_type(event) == XPC_TYPE_CONNECTION)
        accept_client(transport, event);
    else if (event == XPC_ERROR_CONNECTION_INVALID)
        transport->events->refused();
    else if (event == XPC_ERROR_TERMINATION_IMMINENT)
        transport->events->asked_to_leave("the system wants this process to end");
}

int transport_xpc_new(const struct verbs *verbs, struct broker *broker,
                      const struct transport_events *events, const char *version,
                      struct transport **ret)
{
    struct transport *transport = calloc(1, sizeof *transport);
    if (!transport)
        return -ENOMEM;
    transport->verbs = verbs;
    transport->broker = broker;
    transport->events = events;
    transport->version = version;
    TAILQ_INIT(&transport->clients);
    transport->listener = xpc_connection_create_mach_service(
        MACH_SERVICE, dispatch_get_main_queue(), XPC_CONNECTION_MACH_SERVICE_LISTENER);
    xpc_connection_set_event_handler(transport->listener, ^(xpc_object_t event) {
      handle_listener(transport, event);
    });
    *ret = transport;
    xpc_connection_activate(transport->listener);
    return 0;
}

void transport_xpc_flush(struct transport *transport, void (*done)(void))
{
    transport->flushed = done;
    if (transport->sending == 0) {
        flushed(transport);
        return;
    }
    dispatch_after(dispatch_time(DISPATCH_TIME_NOW, FLUSH_SEC * (int64_t)NSEC_PER_SEC),
                   dispatch_get_main_queue(), ^{
                     flushed(transport); /* a client that reads nothing does not keep us */
                   });
}
