/* SPDX-License-Identifier: Apache-2.0 */
/* forwarder_tcp.c - connections: accepted outside, made inside, spliced.
 *
 * Bytes go from socket to pipe to socket without being copied to us. Nothing is taken from a sender
 * before its receiver has taken what came before, so that either feels the other's slowness. An end
 * of one direction is passed on and leaves the other open; a reset is passed on as a reset, and so
 * is a VM that cannot be reached, since the client has been accepted by then.
 */
#include "forwarder_part.h"

#include "clock.h"
#include "fd.h"
#include "log.h"
#include "mem.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#define PATIENCE (20 * FORWARDER_SEC) /* for a VM that does not answer at all */
#define ROUNDS   8                    /* pipes full in one go */

/* A peer that vanished without a word is noticed in ten to fifteen minutes. */
#define KEEP_IDLE     600
#define KEEP_INTERVAL 60
#define KEEP_COUNT    5

/* One direction of a connection. */
struct direction {
    int from, to;
    bool ended; /* `from` will say no more */
    bool shut;  /* and `to` has been told */
    struct pipe *pipe;
    size_t held; /* bytes in it */
};

struct tcp_flow {
    TAILQ_ENTRY(tcp_flow) link;
    struct tcp *tcp;
    struct entrance *entrance;
    int client, vm;
    sd_event_source *client_io, *vm_io;
    bool connected;
    uint64_t since; /* when we began to connect */
    struct direction up, down;
};
TAILQ_HEAD(flow_list, tcp_flow);

struct tcp {
    struct forwarder *fw;
    struct flow_list connecting, flows;
};

static void reset_on_close(int fd)
{
    const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

/* reset: neither side is to believe that it was a good end. */
static void flow_free(struct tcp_flow *f, bool reset)
{
    struct entrance *e = f->entrance;

    TAILQ_REMOVE(f->connected ? &f->tcp->flows : &f->tcp->connecting, f, link);
    sd_event_source_disable_unref(f->client_io);
    sd_event_source_disable_unref(f->vm_io);
    if (reset) {
        reset_on_close(f->client);
        reset_on_close(f->vm);
    }
    fd_closep(&f->client);
    fd_closep(&f->vm);
    pipe_give(f->up.pipe, f->up.held == 0);
    pipe_give(f->down.pipe, f->down.held == 0);
    free(f);
    entrance_leave(e, TCP_FLOW_FDS);
}

/* ---- moving bytes ------------------------------------------------------------------ */

/* 1: it moved something or came to the end, 0: it would have to wait. */
static int fill(struct direction *d)
{
    ssize_t n;

    if (!d->pipe)
        d->pipe = pipe_take();
    if (!d->pipe)
        return -ENOMEM;
    n = splice(d->from, NULL, d->pipe->in, NULL, d->pipe->size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    d->ended = n == 0;
    d->held = (size_t)n;
    return 1;
}

static int drain(struct direction *d)
{
    ssize_t n = splice(d->pipe->out, NULL, d->to, NULL, d->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    d->held -= (size_t)n;
    return d->held == 0;
}

/* What can be moved without waiting, and no more than one's share of our time. */
static int move(struct direction *d)
{
    int r = 1;

    for (int i = 0; i < ROUNDS && r > 0; i++) {
        if (d->held == 0)
            r = d->ended ? 0 : fill(d);
        if (r >= 0 && d->held > 0)
            r = drain(d);
    }
    if (d->held == 0) {
        pipe_give(d->pipe, true);
        d->pipe = NULL;
    }
    if (r >= 0 && d->ended && d->held == 0 && !d->shut) {
        (void)shutdown(d->to, SHUT_WR);
        d->shut = true;
    }
    return r < 0 ? r : 0;
}

/* With nothing to wait for, a socket still says when it breaks. shut: we have told it the end;
 * then it may say that it is through without end, and is asked only when there is something. */
static void watch(sd_event_source *source, bool in, bool out, bool shut)
{
    uint32_t events = (in ? EPOLLIN : 0u) | (out ? EPOLLOUT : 0u);

    (void)sd_event_source_set_io_events(source, events);
    (void)sd_event_source_set_enabled(source, events || !shut ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void flow_watch(struct tcp_flow *f)
{
    const struct direction *up = &f->up, *down = &f->down;

    if (!f->connected) {
        watch(f->client_io, false, false, false);
        watch(f->vm_io, false, true, false);
        return;
    }
    watch(f->client_io, !up->ended && up->held == 0, down->held > 0, down->shut);
    watch(f->vm_io, !down->ended && down->held == 0, up->held > 0, up->shut);
}

/* ---- a connection's life ----------------------------------------------------------- */

static int take_outcome(struct tcp_flow *f)
{
    socklen_t len = sizeof(int);
    int err = 0;

    if (getsockopt(f->vm, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err)
        return -ECONNREFUSED;
    TAILQ_REMOVE(&f->tcp->connecting, f, link);
    TAILQ_INSERT_TAIL(&f->tcp->flows, f, link);
    f->connected = true;
    return 0;
}

static int on_flow(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct tcp_flow *f = arg;
    int r = events & EPOLLERR ? -ECONNRESET : 0;

    (void)source;
    if (r == 0 && !f->connected)
        r = fd == f->vm ? take_outcome(f) : events & EPOLLHUP ? -ECONNRESET : 0;
    if (r == 0 && f->connected) {
        r = move(&f->up);
        if (r == 0)
            r = move(&f->down);
    }
    if (r < 0)
        flow_free(f, true);
    else if (f->up.shut && f->down.shut)
        flow_free(f, false);
    else
        flow_watch(f);
    return 0;
}

/* Small messages are somebody's keystrokes, and dead peers are to be noticed. What a
 * listening socket has, those have that come by it. */
static void set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        { SOL_TCP, TCP_NODELAY, 1 },          { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { SOL_TCP, TCP_KEEPIDLE, KEEP_IDLE }, { SOL_TCP, TCP_KEEPINTVL, KEEP_INTERVAL },
        { SOL_TCP, TCP_KEEPCNT, KEEP_COUNT },
    };

    for (size_t i = 0; i < N_ELEMENTS(options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static int flow_begin(struct tcp_flow *f, const struct sockaddr_storage *from)
{
    sd_event *event = f->tcp->fw->event;
    int r;

    r = f->vm = dial(&f->entrance->order, SOCK_STREAM, from);
    if (r < 0)
        return r;
    set_options(f->vm);
    f->up.to = f->down.from = f->vm;
    r = sd_event_add_io(event, &f->vm_io, f->vm, EPOLLOUT, on_flow, f);
    if (r >= 0)
        r = sd_event_add_io(event, &f->client_io, f->client, 0, on_flow, f);
    return r < 0 ? r : 0;
}

/* client: taken over, as the room for its flow is. */
static void take_client(struct entrance *e, int client, const struct sockaddr_storage *from)
{
    struct tcp_flow *f = calloc(1, sizeof *f);

    if (!f) {
        reset_on_close(client);
        (void)close(client);
        entrance_leave(e, TCP_FLOW_FDS);
        return;
    }
    *f = (struct tcp_flow){ .tcp = e->forwarder->tcp,
                            .entrance = e,
                            .client = client,
                            .vm = -1,
                            .since = monotonic_usec(),
                            .up = { .from = client, .to = -1 },
                            .down = { .from = -1, .to = client } };
    TAILQ_INSERT_TAIL(&f->tcp->connecting, f, link);
    if (flow_begin(f, from) < 0) {
        flow_free(f, true);
        return;
    }
    flow_watch(f);
    forwarder_keep_ticking(e->forwarder);
}

static int on_clients(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    const struct listener *listener = arg;
    struct entrance *e = listener->entrance;

    (void)source, (void)events;
    for (int i = 0; i < FORWARDER_BATCH; i++) {
        struct sockaddr_storage from = { 0 };
        socklen_t len = sizeof from;
        int client;

        if (!entrance_admit(e, TCP_FLOW_FDS, TCP_FLOWS_MAX / ENTRANCE_SHARE))
            break;
        client = accept4(fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client < 0) {
            entrance_leave(e, TCP_FLOW_FDS);
            break;
        }
        take_client(e, client, &from);
    }
    return 0;
}

int tcp_listen(struct listener *listener)
{
    set_options(listener->fd);
    return sd_event_add_io(listener->entrance->forwarder->event, &listener->io, listener->fd,
                           EPOLLIN, on_clients, listener);
}

static void cut(struct flow_list *list, const struct entrance *e)
{
    for (struct tcp_flow *f = TAILQ_FIRST(list), *next; f; f = next) {
        next = TAILQ_NEXT(f, link);
        if (f->entrance == e)
            flow_free(f, true);
    }
}

void tcp_cut(struct entrance *e)
{
    cut(&e->forwarder->tcp->connecting, e);
    cut(&e->forwarder->tcp->flows, e);
}

bool tcp_tick(struct tcp *tcp, uint64_t now)
{
    struct tcp_flow *oldest;

    while ((oldest = TAILQ_FIRST(&tcp->connecting)) && now - oldest->since > PATIENCE)
        flow_free(oldest, true);
    return oldest != NULL;
}

int tcp_new(struct forwarder *fw)
{
    struct tcp *tcp = calloc(1, sizeof *tcp);

    if (!tcp)
        return -ENOMEM;
    tcp->fw = fw;
    TAILQ_INIT(&tcp->connecting);
    TAILQ_INIT(&tcp->flows);
    fw->tcp = tcp;
    return 0;
}
