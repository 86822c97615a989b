/* SPDX-License-Identifier: Apache-2.0 */
/* relay.c - carries DNS out of the namespace, and bytes are all it knows.
 *
 * Why a process of its own, and not the uplink: the host's resolver often listens on
 * the host's loopback, which no engine lets guests reach, and with good reason; and
 * names must go on resolving while an engine restarts. A socket belongs to the
 * namespace where it was made, wherever its owner lives, so two sockets are all that
 * it needs from inside.
 *
 * UDP: every port that asks gets a connected socket of its own towards the resolver.
 * That is what tells answers apart without reading them, lets the kernel refuse
 * forged ones, and keeps source ports unpredictable. The last question is kept, to
 * be asked of the next resolver when one refuses or is silent. TCP: two sockets,
 * copied both ways.
 *
 * It holds no state worth saving and ends by SIGTERM. It survives netd on purpose,
 * as guests do; like every child it stands in netd's journal, and the next netd
 * adopts it or ends it. What remains reachable through it is the host's resolver.
 */
#include "relay.h"

#include "fd.h"
#include "log.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <time.h>

#define SEC 1000000ull

#define RESOLV_CONF "/etc/resolv.conf"

/* As in glibc: more nameservers than that are ignored. */
#define SERVERS_MAX 3

/* dnsmasq asks at most 150 at a time, one process a network. */
#define UDP_MAX      512
#define UDP_LIFE     (10 * SEC)
#define UDP_QUIET    (2 * SEC) /* after an answer; a port that is kept is one less for others */
#define UDP_PATIENCE (2 * SEC) /* guests ask again after 5: let that be answered */

#define TCP_MAX      64
#define TCP_IDLE     (30 * SEC)
#define TCP_PATIENCE (2 * SEC)
#define TCP_CHUNK    16384

#define QUESTION_MAX 4096 /* a larger datagram is no question, and is dropped */
#define ANSWER_MAX   65535
#define BATCH        64 /* packets in one go, so that nobody has us for himself */

/* How long a resolver that has failed is not the first to be asked. */
#define GRUDGE (60 * SEC)

#define TICK (SEC / 4)

struct server {
    struct sockaddr_storage addr;
    socklen_t len;
};

/* ---- which resolvers --------------------------------------------------------------- */

struct resolvers {
    struct server server[SERVERS_MAX];
    size_t n;
    unsigned version;      /* counts changes of the file */
    size_t first;          /* the one that is asked first */
    uint64_t first_at;     /* since when it is not the one with number 0 */
    struct timespec mtime; /* of the file that they are from */
    ino_t ino;
    dev_t dev;
};

/* An address with a scope ("fe80::1%eth0") needs more than inet_pton(). */
static bool server_parse(const char *text, struct server *ret)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                              .ai_socktype = SOCK_DGRAM };
    struct addrinfo *found = NULL;

    if (getaddrinfo(text, "53", &hints, &found) != 0)
        return false;
    memcpy(&ret->addr, found->ai_addr, found->ai_addrlen);
    ret->len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

/* One line of resolv.conf, which is cut up. */
static void resolvers_take_line(struct resolvers *rs, char *line)
{
    char *rest, *word = strtok_r(line, " \t\r\n", &rest);

    if (!word || strcmp(word, "nameserver") != 0 || rs->n == SERVERS_MAX)
        return;
    word = strtok_r(NULL, " \t\r\n", &rest);
    if (word && server_parse(word, &rs->server[rs->n]))
        rs->n++;
}

static void resolvers_read(struct resolvers *rs, FILE *file)
{
    char line[512];

    rs->n = rs->first = 0;
    rs->version++;
    while (file && fgets(line, sizeof line, file))
        resolvers_take_line(rs, line);
    if (rs->n == 0 && server_parse("127.0.0.1", &rs->server[0])) /* as in glibc */
        rs->n = 1;
}

/* Called for every question: one stat(), and the file is read only when it is another
 * one or has changed. Programs replace it in either way. */
static void resolvers_refresh(struct resolvers *rs, const char *path, uint64_t now)
{
    struct stat st = { 0 };

    if (rs->first != 0 && now - rs->first_at > GRUDGE)
        rs->first = 0;
    if (stat(path, &st) < 0)
        memset(&st, 0, sizeof st); /* absent, and that is remembered as well */
    if (rs->n > 0 && st.st_ino == rs->ino && st.st_dev == rs->dev &&
        st.st_mtim.tv_sec == rs->mtime.tv_sec && st.st_mtim.tv_nsec == rs->mtime.tv_nsec)
        return;
    rs->ino = st.st_ino;
    rs->dev = st.st_dev;
    rs->mtime = st.st_mtim;

    FILE *file = fopen(path, "re");
    resolvers_read(rs, file);
    if (file)
        (void)fclose(file);
    log_info("relay: %zu resolver%s from %s", rs->n, rs->n == 1 ? "" : "s", path);
}

/* It was silent or refused: others need not wait for it, too. */
static void resolvers_blame(struct resolvers *rs, size_t server, uint64_t now)
{
    if (server != rs->first || rs->n < 2)
        return;
    rs->first = (server + 1) % rs->n;
    rs->first_at = now;
}

/* ---- the relay ----------------------------------------------------------------------- */

struct relay;

/* Where a question stands among the resolvers: each is tried once, from `first` on. */
struct attempt {
    unsigned version; /* of the resolvers that the numbers mean */
    size_t first, n;
};

/* One port that asks. */
struct asker {
    struct relay *relay;
    struct sockaddr_in from;
    int fd; /* towards the resolver; -1: none */
    sd_event_source *io;
    uint64_t used;  /* when it last asked; 0: the slot is free */
    uint64_t asked; /* when the resolver was asked; 0: it has answered */
    struct attempt attempt;
    size_t server; /* the resolver that fd is connected to */
    size_t question_len;
    char *question; /* QUESTION_MAX bytes */
};

/* One direction of a TCP connection. */
struct flow {
    int from, to;
    bool ended;        /* `from` will say no more */
    bool shut;         /* and `to` has been told */
    size_t start, end; /* what buf holds */
    char buf[TCP_CHUNK];
};

struct stream {
    struct relay *relay;
    int asker, server; /* server -1: none */
    sd_event_source *asker_io, *server_io;
    bool connected;
    struct attempt attempt;
    uint64_t used; /* when something last moved */
    struct flow up, down;
};

struct relay {
    sd_event *event;
    int udp, tcp;
    sd_event_source *tick; /* on while anybody is waiting for anything */
    struct resolvers resolvers;
    struct asker askers[UDP_MAX];
    struct stream *streams[TCP_MAX];
    uint64_t complained;
};

static uint64_t now_usec(void)
{
    struct timespec ts = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SEC + (uint64_t)ts.tv_nsec / 1000;
}

static void attempt_begin(struct relay *relay, struct attempt *at)
{
    resolvers_refresh(&relay->resolvers, RESOLV_CONF, now_usec());
    *at = (struct attempt){ relay->resolvers.version, relay->resolvers.first, 0 };
}

/* The resolver to try; false: all have been. */
static bool attempt_server(const struct relay *relay, const struct attempt *at, size_t *ret)
{
    const struct resolvers *rs = &relay->resolvers;

    if (at->version != rs->version || rs->n == 0 || at->n >= rs->n)
        return false;
    *ret = (at->first + at->n) % rs->n;
    return true;
}

static void attempt_failed(struct relay *relay, struct attempt *at)
{
    size_t server;

    if (at->version != relay->resolvers.version) { /* the file has changed: from the start */
        attempt_begin(relay, at);
        return;
    }
    if (attempt_server(relay, at, &server))
        resolvers_blame(&relay->resolvers, server, now_usec());
    at->n++;
}

static bool attempt_is_last(const struct relay *relay, const struct attempt *at)
{
    return at->version == relay->resolvers.version && at->n + 1 >= relay->resolvers.n;
}

static void complain(struct relay *relay)
{
    uint64_t now = now_usec();

    if (relay->complained && now - relay->complained < 60 * SEC)
        return;
    relay->complained = now;
    log_warning("relay: no resolver of %s answers", RESOLV_CONF);
}

static int connect_server(const struct server *server, int type)
{
    AUTO_FD fd = socket(server->addr.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&server->addr, server->len) < 0 &&
        errno != EINPROGRESS)
        return -errno;
    return fd_take(&fd);
}

static void keep_ticking(struct relay *relay)
{
    (void)sd_event_source_set_enabled(relay->tick, SD_EVENT_ON);
}

/* ---- UDP ------------------------------------------------------------------------------ */

static void asker_disconnect(struct asker *a)
{
    a->io = sd_event_source_disable_unref(a->io);
    fd_closep(&a->fd);
    a->asked = 0;
}

static void asker_free(struct asker *a)
{
    asker_disconnect(a);
    free(a->question);
    a->question = NULL;
    a->used = 0;
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *arg);

/* One resolver: connect to it, unless the last question went there, and ask. */
static int asker_send(struct asker *a, size_t server)
{
    int r = 0;

    if (a->fd < 0 || server != a->server) {
        asker_disconnect(a);
        r = a->fd = connect_server(&a->relay->resolvers.server[server], SOCK_DGRAM);
        a->server = server;
        if (r >= 0)
            r = sd_event_add_io(a->relay->event, &a->io, a->fd, EPOLLIN, on_answer, a);
    }
    if (r >= 0 && send(a->fd, a->question, a->question_len, 0) < 0)
        r = -errno;
    if (r < 0) {
        asker_disconnect(a);
        return r;
    }
    a->asked = now_usec();
    return 0;
}

/* Asks the first resolver that takes the question. */
static void asker_ask(struct asker *a)
{
    size_t server;

    while (attempt_server(a->relay, &a->attempt, &server)) {
        if (asker_send(a, server) == 0)
            return;
        attempt_failed(a->relay, &a->attempt);
    }
    complain(a->relay);
    asker_free(a); /* who asked will notice, and ask again */
}

static void asker_ask_next(struct asker *a)
{
    attempt_failed(a->relay, &a->attempt);
    asker_disconnect(a);
    asker_ask(a);
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    static char answer[ANSWER_MAX];
    struct asker *a = arg;
    ssize_t n = recv(fd, answer, sizeof answer, 0);

    (void)source, (void)events;
    if (n >= 0) {
        a->asked = 0;
        (void)sendto(a->relay->udp, answer, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&a->from,
                     sizeof a->from);
    } else if (errno != EAGAIN && errno != EINTR) {
        if (a->asked) /* refused: no need to wait until it is late */
            asker_ask_next(a);
        else
            asker_disconnect(a);
    }
    return 0;
}

/* The slot of whoever asks, a free one, or that of whoever has been quiet longest. */
static struct asker *asker_find(struct relay *relay, const struct sockaddr_in *from)
{
    struct asker *best = &relay->askers[0];

    for (size_t i = 0; i < UDP_MAX; i++) {
        struct asker *a = &relay->askers[i];
        if (a->used && a->from.sin_port == from->sin_port &&
            a->from.sin_addr.s_addr == from->sin_addr.s_addr)
            return a;
        if (a->used < best->used)
            best = a;
    }
    if (best->used)
        asker_free(best);
    best->from = *from;
    return best;
}

static void take_question(struct relay *relay, const struct sockaddr_in *from, const char *question,
                          size_t len)
{
    struct asker *a = asker_find(relay, from);
    unsigned version = a->attempt.version;

    if (!a->question)
        a->question = malloc(QUESTION_MAX);
    if (!a->question)
        return;
    memcpy(a->question, question, len);
    a->question_len = len;
    a->used = now_usec();
    attempt_begin(relay, &a->attempt);
    if (a->attempt.version != version)
        asker_disconnect(a); /* its number means another resolver now */
    asker_ask(a);
    keep_ticking(relay);
}

static int on_question(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    char question[QUESTION_MAX + 1];
    struct sockaddr_in from = { 0 };

    (void)source, (void)events;
    for (int i = 0; i < BATCH; i++) {
        socklen_t len = sizeof from;
        ssize_t n =
            recvfrom(fd, question, sizeof question, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
        if (n < 0)
            break;
        if (n <= QUESTION_MAX && len == sizeof from && from.sin_family == AF_INET)
            take_question(arg, &from, question, (size_t)n);
    }
    return 0;
}

/* ---- TCP ------------------------------------------------------------------------------ */

static void stream_free(struct stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < TCP_MAX; i++)
        if (s->relay->streams[i] == s)
            s->relay->streams[i] = NULL;
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
    struct relay *relay = s->relay;
    size_t server;

    while (attempt_server(relay, &s->attempt, &server)) {
        s->server_io = sd_event_source_disable_unref(s->server_io);
        fd_closep(&s->server);
        s->server = connect_server(&relay->resolvers.server[server], SOCK_STREAM);
        if (s->server >= 0 &&
            sd_event_add_io(relay->event, &s->server_io, s->server, EPOLLOUT, on_stream, s) >= 0) {
            s->up.to = s->down.from = s->server;
            s->used = now_usec();
            stream_watch(s);
            return 0;
        }
        attempt_failed(relay, &s->attempt);
    }
    complain(relay);
    return -EHOSTUNREACH;
}

static void stream_connect_next(struct stream *s)
{
    attempt_failed(s->relay, &s->attempt);
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
    s->used = now_usec();
    /* When the resolver has said all, what the asker might still say is void. */
    if (flow_move(&s->up) < 0 || flow_move(&s->down) < 0 || s->down.shut)
        stream_free(s);
    else
        stream_watch(s);
    return 0;
}

/* A free place, or that of the connection which has been quiet longest. */
static struct stream **stream_place(struct relay *relay)
{
    struct stream **best = &relay->streams[0];

    for (size_t i = 0; i < TCP_MAX; i++) {
        if (!relay->streams[i])
            return &relay->streams[i];
        if (relay->streams[i]->used < (*best)->used)
            best = &relay->streams[i];
    }
    stream_free(*best);
    return best;
}

static void take_stream(struct relay *relay, int fd)
{
    struct stream *s = calloc(1, sizeof *s);

    if (!s) {
        (void)close(fd);
        return;
    }
    s->relay = relay;
    s->asker = s->up.from = s->down.to = fd;
    s->server = -1;
    attempt_begin(relay, &s->attempt);
    if (sd_event_add_io(relay->event, &s->asker_io, fd, 0, on_stream, s) < 0 ||
        stream_connect(s) < 0) {
        stream_free(s);
        return;
    }
    *stream_place(relay) = s;
    keep_ticking(relay);
}

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    (void)source, (void)events;
    for (int i = 0; i < BATCH; i++) {
        int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (accepted < 0)
            break;
        take_stream(arg, accepted);
    }
    return 0;
}

/* ---- time ------------------------------------------------------------------------------ */

static bool asker_tick(struct asker *a, uint64_t now)
{
    if (a->used && now - a->used > (a->asked ? UDP_LIFE : UDP_QUIET)) {
        if (a->asked)
            complain(a->relay);
        asker_free(a);
    } else if (a->used && a->asked && now - a->asked > UDP_PATIENCE &&
               !attempt_is_last(a->relay, &a->attempt)) { /* the last one may take its time */
        asker_ask_next(a);
    }
    return a->used != 0;
}

static void stream_tick(struct stream *s, uint64_t now)
{
    if (s->connected && now - s->used > TCP_IDLE)
        stream_free(s);
    else if (!s->connected && now - s->used > TCP_PATIENCE)
        stream_connect_next(s);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
    struct relay *relay = arg;
    uint64_t now = now_usec();
    bool busy = false;

    (void)usec;
    for (size_t i = 0; i < UDP_MAX; i++)
        busy |= asker_tick(&relay->askers[i], now);
    for (size_t i = 0; i < TCP_MAX; i++) {
        if (relay->streams[i])
            stream_tick(relay->streams[i], now);
        busy |= relay->streams[i] != NULL;
    }
    (void)sd_event_source_set_time_relative(source, TICK);
    (void)sd_event_source_set_enabled(source, busy ? SD_EVENT_ON : SD_EVENT_OFF);
    return 0;
}

/* ---- life ------------------------------------------------------------------------------ */

static int open_socket(int type)
{
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_port = htons(53),
                                .sin_addr.s_addr = htonl(RELAY_DNS_ADDRESS) };
    AUTO_FD fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, burst = 1 << 20; /* the default holds 277 questions */

    if (fd >= 0) /* less is no reason to have no relay */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &burst, sizeof burst);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 ||
        (type == SOCK_STREAM && listen(fd, TCP_MAX) < 0))
        return -errno;
    return fd_take(&fd);
}

int relay_open_sockets(int *ret_udp, int *ret_tcp)
{
    AUTO_FD udp = open_socket(SOCK_DGRAM);
    AUTO_FD tcp = udp < 0 ? -1 : open_socket(SOCK_STREAM);

    if (udp < 0 || tcp < 0)
        return udp < 0 ? udp : tcp;
    *ret_udp = fd_take(&udp);
    *ret_tcp = fd_take(&tcp);
    return 0;
}

/* The spawner has taken its capabilities; these can only shrink what is left. */
static void confine(void)
{
    const struct rlimit files = { UDP_MAX + 2 * TCP_MAX + 32, UDP_MAX + 2 * TCP_MAX + 32 };
    const struct rlimit none = { 0, 0 };

    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)setrlimit(RLIMIT_CORE, &none); /* others' questions are in its memory */
}

static int relay_run(struct relay *relay)
{
    int r = sd_event_new(&relay->event);
    if (r >= 0)
        r = sd_event_add_io(relay->event, NULL, relay->udp, EPOLLIN, on_question, relay);
    if (r >= 0)
        r = sd_event_add_io(relay->event, NULL, relay->tcp, EPOLLIN, on_accept, relay);
    if (r >= 0)
        r = sd_event_add_time_relative(relay->event, &relay->tick, CLOCK_MONOTONIC, TICK, TICK / 4,
                                       on_tick, relay);
    return r < 0 ? r : sd_event_loop(relay->event);
}

_Noreturn void relay_main(int udp, int tcp)
{
    static struct relay relay;

    log_init("vmnet-relay", log_level());
    confine();
    relay.udp = udp;
    relay.tcp = tcp;
    for (size_t i = 0; i < UDP_MAX; i++)
        relay.askers[i] = (struct asker){ .relay = &relay, .fd = -1 };
    int r = relay_run(&relay);
    if (r < 0)
        log_failure(r, "relay: cannot go on");
    _exit(r < 0 ? 1 : 0);
}
