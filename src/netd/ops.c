/* SPDX-License-Identifier: Apache-2.0 */
/* ops.c - see ops.h.
 *
 * A short table says what can be asked and when. Each operation gets checked values
 * and gives an error with words; the answer and the log line are made here, once.
 */
#include "ops.h"

#include "fd.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#include <string.h>

/* ---- answers ----------------------------------------------------------------------- */

static struct netd_header header_of(uint16_t op, uint32_t id, uint32_t flags, int err)
{
    return (struct netd_header){
        .magic = NETD_MAGIC, .version = NETD_VERSION, .op = op, .id = id, .flags = flags, .err = err
    };
}

static void answer(struct session *session, const struct netd_msg *request, const void *body,
                   size_t len)
{
    struct netd_header header = header_of(request->header.op, request->header.id, 0, 0);

    session_send(session, &header, body, len, NULL, 0);
}

static void answer_error(struct session *session, uint16_t op, uint32_t id, int err,
                         const struct netd_why *why)
{
    struct netd_header header = header_of(op, id, 0, err);

    log_warning("request refused: %s", why->why);
    session_send(session, &header, why, sizeof *why, NULL, 0);
}

/* A body of a listing; the last message of one is an answer without a body. */
struct listing {
    struct session *session;
    struct netd_header header;
};

static void list_body(struct listing *list, const void *body, size_t len)
{
    session_send(list->session, &list->header, body, len, NULL, 0);
}

static void list_network(void *arg, const struct netd_network *network)
{
    list_body(arg, network, sizeof *network);
}

static void list_interface(void *arg, const struct netd_interface *interface)
{
    list_body(arg, interface, sizeof *interface);
}

static void list_forward(void *arg, const struct netd_forward *forward)
{
    list_body(arg, forward, sizeof *forward);
}

static void list_stranded(void *arg, const struct netd_stranded *stranded)
{
    list_body(arg, stranded, sizeof *stranded);
}

static void list_stats(void *arg, const struct netd_stats *stats)
{
    list_body(arg, stats, sizeof *stats);
}

/* ---- the operations ----------------------------------------------------------------- */

static int do_hello(struct ops_context *ctx, struct session *session, const struct netd_msg *msg,
                    struct netd_why *why)
{
    struct netd_welcome welcome = { .netd_pid = getpid(), .anchor_pid = ctx->anchor };
    const struct uplink *uplink = uplinks_at(ctx->uplinks, 0);

    /* The broker's lock lets only one live; a second one is not a broker. */
    if (server_broker(ctx->server))
        return why_refused(why, -EBUSY, "another broker is being served");
    session_set_phase(session, PHASE_LEARNING);
    life_set_timeout(ctx->life, msg->body.hello.idle_timeout_sec);
    life_consider(ctx->life);
    (void)str_copy(welcome.uplink_engine, sizeof welcome.uplink_engine,
                   uplink ? uplink_engine(uplink) : "none");
    (void)str_copy(welcome.uplink_state, sizeof welcome.uplink_state,
                   uplink ? uplink_state(uplink) : "none");
    answer(session, msg, &welcome, sizeof welcome);
    return 0;
}

static int do_inventory(struct ops_context *ctx, struct session *session,
                        const struct netd_msg *msg, struct netd_why *why)
{
    struct listing list = { session, header_of(msg->header.op, msg->header.id, NETD_MORE, 0) };

    (void)why;
    networks_list(ctx->networks, list_network, list_interface, &list);
    forwards_list(ctx->forwards, list_forward, &list);
    (void)networks_stranded(ctx->networks, list_stranded, &list);
    answer(session, msg, NULL, 0);
    return 0;
}

/* Of the first one the welcome has told. */
static void tell_other_uplinks(struct ops_context *ctx)
{
    for (unsigned slot = 1; slot < UPLINKS_MAX; slot++) {
        const struct uplink *uplink = uplinks_at(ctx->uplinks, slot);

        if (uplink && uplink_interface(uplink)[0])
            ops_uplink(ctx, uplink_interface(uplink), uplink_engine(uplink), uplink_state(uplink));
    }
}

static int do_ready(struct ops_context *ctx, struct session *session, const struct netd_msg *msg,
                    struct netd_why *why)
{
    (void)why;
    session_set_phase(session, PHASE_SERVING);
    answer(session, msg, NULL, 0);
    networks_tell_leases(ctx->networks);
    tell_other_uplinks(ctx);
    networks_tell_ways(ctx->networks, true);
    return 0;
}

/* Who waits for a network, which takes longer than the loop may stand still. */
struct waiting {
    struct server *server;
    uint64_t session;
    uint32_t id;
};

static void on_built(void *arg, int err, const struct netd_why *why)
{
    AUTO_FREE struct waiting *waiting = arg;
    struct session *session = session_find(waiting->server, waiting->session);
    struct netd_header header = header_of(NETD_BUILD, waiting->id, 0, 0);

    if (!session)
        return; /* the next broker finds it in the inventory, or not at all */
    if (err < 0)
        answer_error(session, NETD_BUILD, waiting->id, err, why);
    else
        session_send(session, &header, NULL, 0, NULL, 0);
}

static int do_build(struct ops_context *ctx, struct session *session, const struct netd_msg *msg,
                    struct netd_why *why)
{
    struct waiting *waiting = malloc(sizeof *waiting);
    int r;

    if (!waiting)
        return why_failed(why, -ENOMEM, "network '%s'", msg->body.network.name);
    *waiting = (struct waiting){ .server = ctx->server,
                                 .session = session_serial(session),
                                 .id = msg->header.id };
    r = networks_build(ctx->networks, &msg->body.network, on_built, waiting, why);
    if (r < 0)
        free(waiting);
    return r;
}

static int do_remove(struct ops_context *ctx, struct session *session, const struct netd_msg *msg,
                     struct netd_why *why)
{
    int r = networks_remove(ctx->networks, msg->body.name.network, why);

    if (r < 0)
        return r;
    answer(session, msg, NULL, 0);
    return 0;
}

static int do_open_tap(struct ops_context *ctx, struct session *session, const struct netd_msg *msg,
                       struct netd_why *why)
{
    struct netd_header header = header_of(NETD_OPEN_TAP, msg->header.id, 0, 0);
    struct netd_interface made = { 0 };
    int fds[NETD_QUEUES_MAX] = { -1 }; /* all are set on success, which gcc -O3 does not see */
    int r;

    r = networks_open_tap(ctx->networks, &msg->body.interface, &made, fds, why);
    if (r < 0)
        return r;
    session_send(session, &header, &made, sizeof made, fds, netd_interface_fds(&made));
    /* Ours go at once: the TAP lives as long as the VM's. */
    for (unsigned i = 0; i < netd_interface_fds(&made); i++)
        fd_closep(&fds[i]);
    return 0;
}

static int do_update(struct ops_context *ctx, struct session *session, const struct netd_msg *msg,
                     struct netd_why *why)
{
    int r = networks_update(ctx->networks, &msg->body.update, why);

    if (r < 0)
        return r;
    answer(session, msg, NULL, 0);
    return 0;
}

static int do_stats(struct ops_context *ctx, struct session *session, const struct netd_msg *msg,
                    struct netd_why *why)
{
    struct listing list = { session, header_of(msg->header.op, msg->header.id, NETD_MORE, 0) };
    int r;

    r = networks_stats(ctx->networks, list_stats, &list, why);
    if (r < 0)
        return r;
    answer(session, msg, NULL, 0);
    return 0;
}

/* Everything has been removed when the answer comes; the process follows. */
static int do_leave(struct ops_context *ctx, struct session *session, const struct netd_msg *msg,
                    struct netd_why *why)
{
    int r = life_leave(ctx->life, why);

    if (r < 0)
        return r;
    answer(session, msg, NULL, 0);
    return 0;
}

static int do_add_forward(struct ops_context *ctx, struct session *session,
                          const struct netd_msg *msg, struct netd_why *why)
{
    int r = networks_add_forward(ctx->networks, &msg->body.forward, why);

    if (r < 0)
        return r;
    answer(session, msg, NULL, 0);
    return 0;
}

static int do_remove_forward(struct ops_context *ctx, struct session *session,
                             const struct netd_msg *msg, struct netd_why *why)
{
    int r = forwards_remove(ctx->forwards, &msg->body.forward, why);

    if (r < 0)
        return r;
    answer(session, msg, NULL, 0);
    return 0;
}

/* A request that is not in this table, or comes in a phase where it is not allowed,
 * ends its session. An operation that returns an error has not answered. */
static const struct op {
    enum netd_op op;
    const char *name;
    unsigned phases;
    int (*run)(struct ops_context *ctx, struct session *session, const struct netd_msg *msg,
               struct netd_why *why);
} ops[] = {
    { NETD_HELLO, "Hello", PHASE_HELLO, do_hello },
    { NETD_INVENTORY, "Inventory", PHASE_LEARNING, do_inventory },
    { NETD_READY, "Ready", PHASE_LEARNING, do_ready },
    { NETD_BUILD, "Build", PHASE_SERVING, do_build },
    { NETD_REMOVE, "Remove", PHASE_SERVING, do_remove },
    { NETD_OPEN_TAP, "OpenTap", PHASE_SERVING, do_open_tap },
    { NETD_UPDATE, "Update", PHASE_SERVING, do_update },
    { NETD_STATS, "Stats", PHASE_SERVING, do_stats },
    { NETD_LEAVE, "Leave", PHASE_SERVING, do_leave },
    { NETD_ADD_FORWARD, "AddForward", PHASE_SERVING, do_add_forward },
    { NETD_REMOVE_FORWARD, "RemoveForward", PHASE_SERVING, do_remove_forward },
};

static const struct op *find(uint16_t number)
{
    for (size_t i = 0; i < N_ELEMENTS(ops); i++)
        if (ops[i].op == number)
            return &ops[i];
    return NULL;
}

int ops_serve(struct ops_context *ctx, struct session *session, const struct netd_msg *msg)
{
    const struct op *op = find(msg->header.op);
    struct netd_why why = { 0 };
    int r;

    if (!op || !(op->phases & session_phase(session))) {
        log_warning("request '%s' (%u) is out of place: session ended", op ? op->name : "?",
                    msg->header.op);
        return -EPROTO;
    }
    r = op->run(ctx, session, msg, &why);
    if (r < 0)
        answer_error(session, msg->header.op, msg->header.id, r, &why);
    return 0;
}

/* The broker of an upgrade brings a netd of its own, which adopts what we leave. One that comes
 * beside a broker that lives is none: only one can have the lock. */
int ops_refuse_version(struct ops_context *ctx, struct session *session,
                       const struct netd_header *header)
{
    struct netd_why why = { 0 };
    int r = why_refused(&why, -EPROTONOSUPPORT,
                        "a broker speaks version %u of the messages, this vmnet-netd %u",
                        header->version, NETD_VERSION);

    if (header->op == NETD_HELLO && header->id != 0)
        answer_error(session, NETD_HELLO, header->id, r, &why);
    if (header->version < NETD_VERSION || server_broker(ctx->server))
        return r;
    life_make_way(ctx->life, "a newer broker has come");
    return 0; /* it sees by the end of its session that we have gone */
}

/* ---- events -------------------------------------------------------------------------- */

static void send_event(struct ops_context *ctx, uint16_t op, const void *body, size_t len)
{
    struct netd_header header = header_of(op, 0, 0, 0);
    struct session *broker = ctx->server ? server_broker(ctx->server) : NULL;

    if (broker)
        session_send(broker, &header, body, len, NULL, 0);
}

void ops_tap_gone(struct ops_context *ctx, const struct netd_interface *interface)
{
    send_event(ctx, NETD_TAP_GONE, interface, sizeof *interface);
    if (ctx->life)
        life_consider(ctx->life);
}

void ops_lease(struct ops_context *ctx, const struct netd_lease *lease)
{
    send_event(ctx, NETD_LEASE, lease, sizeof *lease);
}

void ops_stranded_over(struct ops_context *ctx, const struct netd_stranded *stranded)
{
    if (stranded)
        send_event(ctx, NETD_STRANDED, stranded, sizeof *stranded);
    if (ctx->life)
        life_consider(ctx->life);
}

void ops_uplink(struct ops_context *ctx, const char *interface, const char *engine,
                const char *state)
{
    struct netd_uplink body = { .engine = "" };

    (void)str_copy(body.interface, sizeof body.interface, interface);
    (void)str_copy(body.engine, sizeof body.engine, engine);
    (void)str_copy(body.state, sizeof body.state, state);
    send_event(ctx, NETD_UPLINK, &body, sizeof body);
    if (ctx->networks)
        networks_tell_ways(ctx->networks, false);
}

void ops_way(struct ops_context *ctx, const struct netd_uplink *uplink)
{
    send_event(ctx, NETD_UPLINK, uplink, sizeof *uplink);
}

void ops_anchor(struct ops_context *ctx, pid_t anchor)
{
    const struct netd_anchor body = { .pid = anchor };

    ctx->anchor = anchor;
    send_event(ctx, NETD_ANCHOR, &body, sizeof body);
}

void ops_forward(struct ops_context *ctx, const struct netd_forward *forward)
{
    send_event(ctx, NETD_FORWARD, forward, sizeof *forward);
}
