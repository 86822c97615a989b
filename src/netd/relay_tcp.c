/* SPDX-License-Identifier: Apache-2.0 */
/* relay_tcp.c - questions in streams: two sockets, copied both ways. */
#include "relay_part.h"

#include "clock.h"
#include "fd.h"

#include <stdlib.h>
#include <sys/socket.h>

#define TCP_IDLE     (30 * SEC)
#define TCP_PATIENCE (2 * SEC)
#define TCP_CHUNK    16384

/* One direction of a TCP connection. */
struct flow {
    int from, to;
    bool ended;        /* `from` will say no more */
    bool shut;         /* and `to` has been told */
    size_t start, end; /* what buf holds */
    char buf[TCP_CHUNK];
};

struct stream {
    struct relay_tcp *tcp;
    int asker, server; /* server -1: none */
    sd_event_source *asker_io, *server_io;
    bool connected;
    struct attempt attempt;
    uint64_t used; /* when something last moved */
    struct flow up, down;
};

struct relay_tcp {
    struct relay *relay;
    struct stream *streams[RELAY_TCP_MAX];
};

static struct resolvers *resolvers_of(struct stream *s)
{
    return &s->tcp->relay->resolvers;
}

static void stream_free(struct stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < RELAY_TCP_MAX; i++)
        if (s->tcp->streams[i] == s)
            s->tcp->streams[i] = NULL;
    sd_event_source_disable_unref(s->asker_io);
    sd_event_source_disable_unref(s->server_io);
    fd_closep(&s->asker);
    fd_closep(&s->server);
    free(s);
}

static bool flow_holds(const struct flow *f)
{
    return f->start < f->end;
}

/* Moves what can be moved without waiting. */
static int flow_move(struct flow *f)
{
    if (!flow_holds(f) && !f->ended) {
        ssize_t n = recv(f->from, f->buf, sizeof f->buf, 0);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        f->ended = n == 0;
        f->start = 0;
        f->end = (size_t)n;
    }
    if (flow_holds(f)) {
        ssize_t n = send(f->to, f->buf + f->start, f->end - f->start, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        f->start += (size_t)n;
    }
    if (f->ended && !flow_holds(f) && !f->shut) {
        (void)shutdown(f->to, SHUT_WR);
        f->shut = true;
    }
    return 0;
}

/* Off altogether when there is nothing to wait for: a hung-up socket is always ready. */
static void watch(sd_event_source *source, bool in, bool out)
{
    uint32_t events = (in ? EPOLLIN : 0u) | (out ? EPOLLOUT : 0u);

    if (events)
        (void)sd_event_source_set_io_events(source, events);
    (void)sd_event_source_set_enabled(source, events ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void stream_watch(struct stream *s)
{
    const struct flow *up = &s->up, *down = &s->down;

    if (!s->connected) {
        watch(s->asker_io, false, false);
        watch(s->server_io, false, true);
        return;
    }
    watch(s->asker_io, !up->ended && !flow_holds(up), flow_holds(down));
    watch(s->server_io, !down->ended && !flow_holds(down), flow_holds(up));
}

static int on_stream(sd_event_source *source, int fd, uint32_t events, void *arg);

/* Connects to the next resolver that is willing to begin. */
static int stream_connect(struct stream *s)
{
    size_t server;

    while (attempt_server(resolvers_of(s), &s->attempt, &server)) {
        s->server_io = sd_event_source_disable_unref(s->server_io);
        fd_closep(&s->server);
        s->server = resolver_connect(&resolvers_of(s)->server[server], SOCK_STREAM);
        if (s->server >= 0 && sd_event_add_io(s->tcp->relay->event, &s->server_io, s->server,
                                              EPOLLOUT, on_stream, s) >= 0) {
            s->up.to = s->down.from = s->server;
            s->used = monotonic_usec();
            stream_watch(s);
            return 0;
        }
        attempt_failed(resolvers_of(s), &s->attempt);
    }
    resolvers_complain(resolvers_of(s), monotonic_usec());
    return -EHOSTUNREACH;
}

static void stream_connect_next(struct stream *s)
{
    attempt_failed(resolvers_of(s), &s->attempt);
    if (stream_connect(s) < 0)
        stream_free(s);
}

static int on_stream(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct stream *s = arg;
    int err = 0;
    socklen_t len = sizeof err;

    (void)source, (void)events;
    if (!s->connected) {
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err) {
            stream_connect_next(s);
            return 0;
        }
        s->connected = true;
    }
    s->used = monotonic_usec();
    /* When the resolver has said all, what the asker might still say is void. */
    if (flow_move(&s->up) < 0 || flow_move(&s->down) < 0 || s->down.shut)
        stream_free(s);
    else
        stream_watch(s);
    return 0;
}

/* A free place, or that of the connection which has been quiet longest. */
static struct stream **stream_place(struct relay_tcp *tcp)
{
    struct stream **best = &tcp->streams[0];

    for (size_t i = 0; i < RELAY_TCP_MAX; i++) {
        if (!tcp->streams[i])
            return &tcp->streams[i];
        if (tcp->streams[i]->used < (*best)->used)
            best = &tcp->streams[i];
    }
    stream_free(*best);
    return best;
}

static void take_stream(struct relay_tcp *tcp, int fd)
{
    struct stream *s = calloc(1, sizeof *s);

    if (!s) {
        (void)close(fd);
        return;
    }
    s->tcp = tcp;
    s->asker = s->up.from = s->down.to = fd;
    s->server = -1;
    attempt_begin(resolvers_of(s), &s->attempt);
    if (sd_event_add_io(tcp->relay->event, &s->asker_io, fd, 0, on_stream, s) < 0 ||
        stream_connect(s) < 0) {
        stream_free(s);
        return;
    }
    *stream_place(tcp) = s;
    relay_keep_ticking(tcp->relay);
}

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    (void)source, (void)events;
    for (int i = 0; i < RELAY_BATCH; i++) {
        int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (accepted < 0)
            break;
        take_stream(arg, accepted);
    }
    return 0;
}

static void stream_tick(struct stream *s, uint64_t now)
{
    if (s->connected && now - s->used > TCP_IDLE)
        stream_free(s);
    else if (!s->connected && now - s->used > TCP_PATIENCE)
        stream_connect_next(s);
}

bool relay_tcp_tick(struct relay_tcp *tcp, uint64_t now)
{
    bool busy = false;

    for (size_t i = 0; i < RELAY_TCP_MAX; i++) {
        if (tcp->streams[i])
            stream_tick(tcp->streams[i], now);
        busy |= tcp->streams[i] != NULL;
    }
    return busy;
}

int relay_tcp_start(struct relay *relay, int fd)
{
    struct relay_tcp *tcp = calloc(1, sizeof *tcp);

    if (!tcp)
        return -ENOMEM;
    tcp->relay = relay;
    relay->tcp = tcp;
    return sd_event_add_io(relay->event, NULL, fd, EPOLLIN, on_accept, tcp);
}
