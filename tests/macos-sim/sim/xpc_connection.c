/* SPDX-License-Identifier: Apache-2.0 */
/* xpc_connection.c - connections of three kinds: a client's named one, a service's
 * listener, and the peer that the listener gives for each client.
 *
 * A service is a listening SOCK_SEQPACKET socket that launchd holds, so that
 * message boundaries come for free and a connection made while the service is
 * down waits for it. A frame is a header and one encoded dictionary. Descriptors
 * are read one frame at a time, and the next only after the handler of the last
 * has run: a peer that floods fills its own socket, and while a handler runs its
 * connection receives nothing, as on a Mac.
 *
 * The end of the other side is CONNECTION_INVALID on a service's peer, after
 * the messages that came before it, and CONNECTION_INTERRUPTED on a client's
 * connection, whose next message connects anew.
 *
 * Locking: conn->lock covers the struct; nothing is called back with it held.
 */
#include "sim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum role { NAMED, LISTENER, PEER };
enum state { INACTIVE, ACTIVE, INVALID };
enum frame_kind { FRAME_MESSAGE = 1, FRAME_REQUEST, FRAME_REPLY, FRAME_ABANDONED };

struct frame_header {
    uint32_t magic, kind;
    uint64_t id;
};

/* A request whose reply is awaited. */
struct pending {
    TAILQ_ENTRY(pending) link;
    uint64_t id;
    dispatch_queue_t queue; /* retained; NULL: a synchronous one */
    xpc_handler_t handler;
    dispatch_semaphore_t done;
    xpc_object_t answer; /* for the synchronous one */
};

/* A frame that did not fit into the socket yet. */
struct unsent {
    TAILQ_ENTRY(unsent) link;
    struct sim_bytes bytes;
    dispatch_block_t barrier; /* instead of bytes */
};

struct _xpc_connection_s {
    struct sim_object base;
    pthread_mutex_t lock;
    enum role role;
    enum state state;
    bool ended;    /* the last event was delivered */
    bool imminent; /* told to go: no more messages */
    char *name;
    dispatch_queue_t queue;
    xpc_handler_t handler;
    int fd;
    struct sim_watch *watch;
    struct ucred cred;
    uint64_t last_id;
    TAILQ_HEAD(pending_list, pending) pending;
    TAILQ_HEAD(unsent_list, unsent) unsent;
    bool flushing;
    void *context;
    xpc_finalizer_t finalizer;
    TAILQ_ENTRY(_xpc_connection_s) peers_link;
};

/* Every active peer, for TERMINATION_IMMINENT. */
static TAILQ_HEAD(, _xpc_connection_s) peers = TAILQ_HEAD_INITIALIZER(peers);
static pthread_mutex_t peers_lock = PTHREAD_MUTEX_INITIALIZER;

/* A barrier's turn has come: what was sent before it has left. */
static void unsent_free(struct unsent *u)
{
    if (u->barrier) {
        dispatch_async(dispatch_get_global_queue(0, 0), u->barrier);
        sim_block_release(u->barrier);
    }
    free(u->bytes.p);
    free(u);
}

static void dispose_connection(void *object)
{
    xpc_connection_t c = object;
    if (c->state == INACTIVE)
        sim_misuse("xpc_release: a connection that was never activated");
    if (c->finalizer && c->context)
        c->finalizer(c->context);
    while (!TAILQ_EMPTY(&c->unsent)) {
        struct unsent *u = TAILQ_FIRST(&c->unsent);
        TAILQ_REMOVE(&c->unsent, u, link);
        unsent_free(u);
    }
    if (c->handler)
        sim_block_release(c->handler);
    if (c->queue)
        dispatch_release(c->queue);
    if (c->fd >= 0)
        close(c->fd);
    free(c->name);
    pthread_mutex_destroy(&c->lock);
}

const struct _xpc_type_s _xpc_type_connection = { { "connection", SIM_XPC, dispose_connection } };

static xpc_connection_t check(xpc_connection_t c, const char *caller)
{
    struct sim_object *base = sim_check(c, SIM_XPC, caller);
    if (base->class != &XPC_TYPE_CONNECTION->class)
        sim_misuse("%s: given a %s instead of a connection", caller, base->class->name);
    return c;
}

static xpc_connection_t connection_new(enum role role, const char *name)
{
    xpc_connection_t c = sim_new(sizeof *c, &XPC_TYPE_CONNECTION->class);
    pthread_mutex_init(&c->lock, NULL);
    c->role = role;
    c->name = strdup(name);
    c->fd = -1;
    TAILQ_INIT(&c->pending);
    TAILQ_INIT(&c->unsent);
    return c;
}

static void set_queue(xpc_connection_t c, dispatch_queue_t queue)
{
    if (queue == dispatch_get_global_queue(0, 0))
        queue = NULL; /* handlers of one connection never overlap: a serial queue does that */
    if (queue)
        dispatch_retain(queue);
    if (c->queue)
        dispatch_release(c->queue);
    c->queue = queue;
}

xpc_connection_t xpc_connection_create_mach_service(const char *name, dispatch_queue_t targetq,
                                                    uint64_t flags)
{
    bool listener = flags & XPC_CONNECTION_MACH_SERVICE_LISTENER;
    xpc_connection_t c = connection_new(listener ? LISTENER : NAMED, name);
    set_queue(c, targetq);
    return c;
}

void xpc_connection_set_target_queue(xpc_connection_t c, dispatch_queue_t targetq)
{
    check(c, "xpc_connection_set_target_queue");
    if (c->state != INACTIVE)
        sim_misuse("xpc_connection_set_target_queue: the connection is active already");
    set_queue(c, targetq);
}

void xpc_connection_set_event_handler(xpc_connection_t c, xpc_handler_t handler)
{
    check(c, "xpc_connection_set_event_handler");
    xpc_handler_t copy = sim_block_copy(handler);
    pthread_mutex_lock(&c->lock);
    xpc_handler_t old = c->handler;
    c->handler = copy;
    pthread_mutex_unlock(&c->lock);
    if (old)
        sim_block_release(old);
}

/* ---- events to the program ---- */

struct delivery {
    xpc_connection_t connection; /* retained */
    xpc_object_t event;          /* retained */
    bool last;                   /* the final CONNECTION_INVALID */
    bool then_read;
};

static void read_on(xpc_connection_t c)
{
    pthread_mutex_lock(&c->lock);
    if (c->watch)
        sim_watch_again(c->watch);
    pthread_mutex_unlock(&c->lock);
}

static enum state state_of(xpc_connection_t c)
{
    pthread_mutex_lock(&c->lock);
    enum state state = c->state;
    pthread_mutex_unlock(&c->lock);
    return state;
}

static void check_new_peer(xpc_object_t event)
{
    if (xpc_get_type(event) == XPC_TYPE_CONNECTION && state_of(event) == INACTIVE)
        sim_misuse("a listener's handler neither activated nor cancelled its new peer");
}

static void drop_handler(xpc_connection_t c)
{
    pthread_mutex_lock(&c->lock);
    xpc_handler_t handler = c->handler;
    c->handler = NULL;
    pthread_mutex_unlock(&c->lock);
    if (handler)
        sim_block_release(handler);
}

/* On the connection's queue. */
static void deliver_now(void *context)
{
    struct delivery *d = context;
    xpc_connection_t c = d->connection;
    pthread_mutex_lock(&c->lock);
    bool wanted = !c->ended && (d->last || c->state == ACTIVE);
    c->ended = c->ended || d->last;
    xpc_handler_t handler = wanted && c->handler ? sim_block_copy(c->handler) : NULL;
    pthread_mutex_unlock(&c->lock);
    if (handler) {
        handler(d->event);
        check_new_peer(d->event);
        sim_block_release(handler);
    } else if (xpc_get_type(d->event) == XPC_TYPE_CONNECTION) {
        xpc_connection_cancel(d->event); /* the listener went while this peer was on its way */
    }
    if (d->last) {
        drop_handler(c);
        xpc_release(c); /* the runtime's own reference */
    }
    if (d->then_read)
        read_on(c);
    xpc_release(d->event);
    xpc_release(c);
    free(d);
}

static void deliver(xpc_connection_t c, xpc_object_t event, bool last, bool then_read)
{
    struct delivery *d = sim_malloc(sizeof *d);
    d->connection = xpc_retain(c);
    d->event = xpc_retain(event);
    d->last = last;
    d->then_read = then_read;
    dispatch_async_f(c->queue, d, deliver_now);
}

/* ---- replies ---- */

static void answer_pending(struct pending *p, xpc_object_t answer)
{
    if (!p->queue) {
        p->answer = xpc_retain(answer);
        dispatch_semaphore_signal(p->done); /* p belongs to the waiter again */
        return;
    }
    xpc_handler_t handler = p->handler;
    xpc_retain(answer);
    dispatch_async(p->queue, ^{
      handler(answer);
      sim_block_release(handler);
      xpc_release(answer);
    });
    dispatch_release(p->queue);
    free(p);
}

static void fail_all(struct pending_list *list, xpc_object_t error)
{
    while (!TAILQ_EMPTY(list)) {
        struct pending *p = TAILQ_FIRST(list);
        TAILQ_REMOVE(list, p, link);
        answer_pending(p, error);
    }
}

static void answer(xpc_connection_t c, uint64_t id, xpc_object_t value)
{
    struct pending *p;
    pthread_mutex_lock(&c->lock);
    TAILQ_FOREACH (p, &c->pending, link)
        if (p->id == id)
            break;
    if (p)
        TAILQ_REMOVE(&c->pending, p, link);
    pthread_mutex_unlock(&c->lock);
    if (p)
        answer_pending(p, value);
}

/* ---- the end ---- */

static void move_pending(xpc_connection_t c, struct pending_list *to)
{
    TAILQ_INIT(to);
    TAILQ_CONCAT(to, &c->pending, link);
}

static void forget_peer(xpc_connection_t c)
{
    xpc_connection_t p;
    pthread_mutex_lock(&peers_lock);
    TAILQ_FOREACH (p, &peers, peers_link)
        if (p == c)
            break;
    if (p)
        TAILQ_REMOVE(&peers, c, peers_link);
    pthread_mutex_unlock(&peers_lock);
}

/* For good: whoever waits is told, and then the handler, once. */
static void invalidate(xpc_connection_t c)
{
    struct pending_list orphans;
    pthread_mutex_lock(&c->lock);
    if (c->state == INVALID) {
        pthread_mutex_unlock(&c->lock);
        return;
    }
    bool was_active = c->state == ACTIVE;
    c->state = INVALID;
    struct sim_watch *watch = c->watch;
    c->watch = NULL;
    int fd = c->fd;
    c->fd = -1;
    move_pending(c, &orphans);
    pthread_mutex_unlock(&c->lock);

    forget_peer(c);
    if (!c->queue)
        set_queue(c, dispatch_queue_create(NULL, DISPATCH_QUEUE_SERIAL));
    fail_all(&orphans, XPC_ERROR_CONNECTION_INVALID);
    if (!was_active && c->role != PEER)
        xpc_retain(c); /* what the last delivery releases as the runtime's */
    deliver(c, XPC_ERROR_CONNECTION_INVALID, true, false);
    if (watch)
        sim_watch_remove(watch);
    if (fd >= 0)
        close(fd);
}

static void interrupted(xpc_connection_t c)
{
    struct pending_list orphans;
    pthread_mutex_lock(&c->lock);
    struct sim_watch *watch = c->watch;
    int fd = c->fd;
    c->watch = NULL;
    c->fd = -1;
    move_pending(c, &orphans);
    pthread_mutex_unlock(&c->lock);

    fail_all(&orphans, XPC_ERROR_CONNECTION_INTERRUPTED);
    deliver(c, XPC_ERROR_CONNECTION_INTERRUPTED, false, false);
    if (watch)
        sim_watch_remove(watch);
    if (fd >= 0)
        close(fd);
}

void xpc_connection_cancel(xpc_connection_t c)
{
    invalidate(check(c, "xpc_connection_cancel"));
}

void sim_connections_terminate(void)
{
    xpc_connection_t c;
    pthread_mutex_lock(&peers_lock);
    TAILQ_FOREACH (c, &peers, peers_link) {
        pthread_mutex_lock(&c->lock);
        bool tell = !c->imminent;
        c->imminent = true;
        pthread_mutex_unlock(&c->lock);
        if (tell)
            deliver(c, XPC_ERROR_TERMINATION_IMMINENT, false, false);
    }
    pthread_mutex_unlock(&peers_lock);
}

/* ---- receiving, on the event thread ---- */

static void take_message(xpc_connection_t c, const struct frame_header *h, xpc_object_t object)
{
    struct xpc_value *v = object;
    v->msg.connection = xpc_retain(c);
    v->msg.request = h->kind == FRAME_REQUEST ? h->id : 0;
    v->msg.transaction = true;
    sim_transaction(1);
    deliver(c, object, false, true);
}

static void take_frame(xpc_connection_t c, const unsigned char *p, size_t len)
{
    struct frame_header h;
    memcpy(&h, p, sizeof h);
    if (h.kind == FRAME_ABANDONED) {
        answer(c, h.id, XPC_ERROR_CONNECTION_INTERRUPTED);
        read_on(c);
        return;
    }
    xpc_object_t object = sim_decode(p + sizeof h, len - sizeof h);
    if (!object || xpc_get_type(object) != XPC_TYPE_DICTIONARY)
        sim_misuse("a frame that the simulator cannot read");
    if (h.kind == FRAME_REPLY) {
        answer(c, h.id, object);
        read_on(c);
    } else {
        take_message(c, &h, object);
    }
    xpc_release(object);
}

static void connection_readable(void *object)
{
    static unsigned char frame[SIM_FRAME_MAX]; /* the event thread is one */
    xpc_connection_t c = object;
    pthread_mutex_lock(&c->lock);
    int flags = MSG_DONTWAIT | (c->imminent ? MSG_PEEK : 0);
    ssize_t n = c->fd >= 0 ? recv(c->fd, frame, sizeof frame, flags) : -1;
    int error = errno;
    bool leave = c->fd < 0 || (c->imminent && n > 0);
    pthread_mutex_unlock(&c->lock);
    if (leave)
        return;
    if (n >= (ssize_t)sizeof(struct frame_header))
        take_frame(c, frame, (size_t)n);
    else if (n < 0 && (error == EAGAIN || error == EINTR))
        read_on(c);
    else if (c->role == NAMED)
        interrupted(c);
    else
        invalidate(c);
}

static void listener_readable(void *object)
{
    xpc_connection_t listener = object;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        read_on(listener);
        return;
    }
    xpc_connection_t peer = connection_new(PEER, listener->name);
    socklen_t size = sizeof peer->cred;
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer->cred, &size);
    peer->fd = fd;
    sim_trace("%s: pid %d connected", listener->name, (int)peer->cred.pid);
    deliver(listener, peer, false, true);
    /* The first reference stays with the runtime until CONNECTION_INVALID. */
}

/* ---- activation ---- */

static int connect_service(const char *name)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int n = snprintf(to.sun_path, sizeof to.sun_path, "%s/%s.sock", sim_dir(), name);
    if (n < 0 || (size_t)n >= sizeof to.sun_path)
        sim_misuse("SIM_DIR is too long");
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        close(fd);
        return -1;
    }
    if (fd >= 0)
        (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* Returns false when there is no such service. */
static bool open_descriptor(xpc_connection_t c)
{
    if (c->role == NAMED)
        c->fd = connect_service(c->name);
    else if (c->role == LISTENER)
        c->fd = fcntl(sim_service_socket(c->name), F_DUPFD_CLOEXEC, 3);
    if (c->fd < 0)
        return false;
    if (c->role == LISTENER)
        (void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->watch =
        sim_watch_add(c->fd, c->role == LISTENER ? listener_readable : connection_readable, c);
    return true;
}

void xpc_connection_activate(xpc_connection_t c)
{
    check(c, "xpc_connection_activate");
    if (!c->handler)
        sim_misuse("xpc_connection_activate: the connection has no event handler");
    if (state_of(c) != INACTIVE)
        return; /* activating twice is harmless, and so is activating a cancelled one */
    if (!c->queue)
        c->queue = dispatch_queue_create(NULL, DISPATCH_QUEUE_SERIAL);
    if (c->role != PEER)
        xpc_retain(c); /* the runtime's, until CONNECTION_INVALID */
    if (c->role == PEER) {
        pthread_mutex_lock(&peers_lock);
        TAILQ_INSERT_TAIL(&peers, c, peers_link);
        pthread_mutex_unlock(&peers_lock);
    }
    pthread_mutex_lock(&c->lock);
    c->state = ACTIVE;
    bool opened = open_descriptor(c);
    pthread_mutex_unlock(&c->lock);
    if (!opened)
        invalidate(c);
}

void xpc_connection_resume(xpc_connection_t c)
{
    if (state_of(check(c, "xpc_connection_resume")) == ACTIVE)
        sim_misuse("xpc_connection_resume: the connection is not suspended");
    xpc_connection_activate(c);
}

/* ---- sending ---- */

/* With the lock held. False when the socket is full. */
static bool put_frame(xpc_connection_t c, const struct sim_bytes *b)
{
    ssize_t n = c->fd >= 0 ? send(c->fd, b->p, b->len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (n < 0 && errno == EMSGSIZE)
        sim_misuse("a message larger than the simulator carries");
    return n >= 0 || errno != EAGAIN; /* a dead peer swallows what it is sent */
}

static void flush(void *context);

/* Tries again in a while: a full socket is rare, and polling keeps this simple. */
static void flush_later(xpc_connection_t c)
{
    c->flushing = true;
    xpc_retain(c);
    uint64_t soon = sim_now() + (uint64_t)(5e6 * sim_time_scale());
    dispatch_after(soon, dispatch_get_global_queue(0, 0), ^{
      flush(c);
      xpc_release(c);
    });
}

static void flush(void *context)
{
    xpc_connection_t c = context;
    pthread_mutex_lock(&c->lock);
    c->flushing = false;
    struct unsent *u;
    while ((u = TAILQ_FIRST(&c->unsent)) && (u->barrier || put_frame(c, &u->bytes))) {
        TAILQ_REMOVE(&c->unsent, u, link);
        unsent_free(u);
    }
    if (u)
        flush_later(c);
    pthread_mutex_unlock(&c->lock);
}

/* With the lock held. Takes the bytes. */
static void send_frame(xpc_connection_t c, struct sim_bytes *b)
{
    if (TAILQ_EMPTY(&c->unsent) && put_frame(c, b)) {
        free(b->p);
        return;
    }
    struct unsent *u = sim_malloc(sizeof *u);
    u->bytes = *b;
    TAILQ_INSERT_TAIL(&c->unsent, u, link);
    if (!c->flushing)
        flush_later(c);
}

static void encode(struct sim_bytes *b, enum frame_kind kind, uint64_t id, xpc_object_t message)
{
    struct frame_header h = { SIM_MAGIC, kind, id };
    sim_bytes_put(b, &h, sizeof h);
    if (message)
        sim_encode(b, message);
    if (b->len > SIM_FRAME_MAX)
        sim_misuse("a message larger than the simulator carries");
}

static void check_sendable(xpc_connection_t c, xpc_object_t message, const char *caller)
{
    check(c, caller);
    if (state_of(c) == INACTIVE)
        sim_misuse("%s: the connection was never activated", caller);
    if (c->role == LISTENER)
        sim_misuse("%s: a listener cannot send", caller);
    if (xpc_get_type(message) != XPC_TYPE_DICTIONARY)
        sim_misuse("%s: a message must be a dictionary", caller);
}

/* With the lock held: false when the connection is gone for good. */
static bool ready_to_send(xpc_connection_t c)
{
    if (c->state != ACTIVE)
        return false;
    return c->fd >= 0 || c->role != NAMED || open_descriptor(c);
}

static void end_message(struct xpc_value *v)
{
    v->msg.request = 0;
    if (v->msg.transaction)
        sim_transaction(-1);
    v->msg.transaction = false;
}

void xpc_connection_send_message(xpc_connection_t c, xpc_object_t message)
{
    check_sendable(c, message, "xpc_connection_send_message");
    struct xpc_value *v = message;
    bool reply = v->msg.is_reply;
    if (reply && v->msg.connection != c)
        sim_misuse("xpc_connection_send_message: a reply sent to somebody else");
    if (reply && !v->msg.request)
        sim_misuse("xpc_connection_send_message: a reply sent twice");
    struct sim_bytes b = { 0 };
    encode(&b, reply ? FRAME_REPLY : FRAME_MESSAGE, reply ? v->msg.request : 0, message);
    pthread_mutex_lock(&c->lock);
    bool lost = !ready_to_send(c);
    if (lost)
        free(b.p);
    else
        send_frame(c, &b);
    bool invalid = lost && c->state == ACTIVE;
    pthread_mutex_unlock(&c->lock);
    if (reply)
        end_message(v);
    if (invalid)
        invalidate(c);
}

void xpc_connection_send_barrier(xpc_connection_t c, dispatch_block_t barrier)
{
    check(c, "xpc_connection_send_barrier");
    struct unsent *u = sim_malloc(sizeof *u);
    u->barrier = sim_block_copy(barrier);
    pthread_mutex_lock(&c->lock);
    bool now = TAILQ_EMPTY(&c->unsent);
    if (!now)
        TAILQ_INSERT_TAIL(&c->unsent, u, link);
    pthread_mutex_unlock(&c->lock);
    if (now)
        unsent_free(u);
}

static void request(xpc_connection_t c, xpc_object_t message, struct pending *p)
{
    struct sim_bytes b = { 0 };
    pthread_mutex_lock(&c->lock);
    p->id = ++c->last_id;
    encode(&b, FRAME_REQUEST, p->id, message);
    TAILQ_INSERT_TAIL(&c->pending, p, link);
    bool lost = !ready_to_send(c);
    if (lost)
        free(b.p);
    else
        send_frame(c, &b);
    bool invalid = lost && c->state == ACTIVE;
    uint64_t id = p->id;
    pthread_mutex_unlock(&c->lock);
    if (invalid)
        invalidate(c);
    else if (lost)
        answer(c, id, XPC_ERROR_CONNECTION_INVALID);
}

void xpc_connection_send_message_with_reply(xpc_connection_t c, xpc_object_t message,
                                            dispatch_queue_t replyq, xpc_handler_t handler)
{
    check_sendable(c, message, "xpc_connection_send_message_with_reply");
    struct pending *p = sim_malloc(sizeof *p);
    p->queue = replyq ? replyq : dispatch_get_global_queue(0, 0);
    dispatch_retain(p->queue);
    p->handler = sim_block_copy(handler);
    request(c, message, p);
}

xpc_object_t xpc_connection_send_message_with_reply_sync(xpc_connection_t c, xpc_object_t message)
{
    check_sendable(c, message, "xpc_connection_send_message_with_reply_sync");
    if (sim_current_queue() && sim_current_queue() == c->queue)
        sim_misuse("xpc_connection_send_message_with_reply_sync: on the connection's own queue: "
                   "deadlock");
    struct pending p = { .done = dispatch_semaphore_create(0) };
    request(c, message, &p);
    dispatch_semaphore_wait(p.done, DISPATCH_TIME_FOREVER);
    dispatch_release(p.done);
    return p.answer;
}

void sim_connection_abandon(xpc_connection_t c, uint64_t id)
{
    struct sim_bytes b = { 0 };
    encode(&b, FRAME_ABANDONED, id, NULL);
    pthread_mutex_lock(&c->lock);
    if (c->state == ACTIVE && c->fd >= 0)
        send_frame(c, &b);
    else
        free(b.p);
    pthread_mutex_unlock(&c->lock);
}

/* ---- who, and the program's own pointer ---- */

pid_t xpc_connection_get_pid(xpc_connection_t c)
{
    return check(c, "xpc_connection_get_pid")->cred.pid;
}

uid_t xpc_connection_get_euid(xpc_connection_t c)
{
    return check(c, "xpc_connection_get_euid")->cred.uid;
}

gid_t xpc_connection_get_egid(xpc_connection_t c)
{
    return check(c, "xpc_connection_get_egid")->cred.gid;
}

void xpc_connection_set_context(xpc_connection_t c, void *context)
{
    check(c, "xpc_connection_set_context")->context = context;
}

void *xpc_connection_get_context(xpc_connection_t c)
{
    return check(c, "xpc_connection_get_context")->context;
}

void xpc_connection_set_finalizer_f(xpc_connection_t c, xpc_finalizer_t finalizer)
{
    check(c, "xpc_connection_set_finalizer_f")->finalizer = finalizer;
}
