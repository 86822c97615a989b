/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - see server.h.
 *
 * Access is the file system's: the socket is 0600 in a directory of ours. The
 * partner's credentials are looked at all the same, since root can connect anywhere,
 * and a root that means this netd is a mistake.
 *
 * A logout may remove the runtime directory under us, while VMs go on and the session of
 * the broker, too. The next broker must find us: so we hear of that, and bind anew.
 */
#include "server.h"

#include "fd.h"
#include "file.h"
#include "log.h"
#include "mem.h"
#include "path_watch.h"
#include "str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define SESSIONS_MAX 8u       /* one broker, and those that have not said hello */
#define QUEUE_MAX    8192u    /* packets: an inventory of many networks, twice */
#define PAUSE_USEC   2000000u /* without a free descriptor; a broker waits longer */

struct packet {
    struct packet *next;
    struct netd_msg msg;
    size_t len; /* of the body */
    size_t n_fds;
    int fds[NETD_QUEUES_MAX];
};

struct session {
    struct session *next;
    struct server *server;
    int fd;
    sd_event_source *source;
    uint64_t serial;
    enum phase phase;
    pid_t pid; /* for the log */
    struct packet *first, **last;
    unsigned queued;
    bool broken; /* over as soon as we are back in the loop */
};

struct server {
    sd_event *event;
    int fd;
    const char *path;
    sd_event_source *source, *pause;
    struct path_watch *watch;
    struct server_events events;
    struct session *sessions, *broker;
    unsigned n_sessions;
    uint64_t serial;
};

/* ---- sending ---------------------------------------------------------------------- */

static void packet_free(struct packet *packet)
{
    for (size_t i = 0; i < packet->n_fds; i++)
        fd_closep(&packet->fds[i]);
    free(packet);
}

/* Ends it from inside the loop, where nobody holds a pointer to it. */
static void session_break(struct session *session)
{
    session->broken = true;
    (void)shutdown(session->fd, SHUT_RDWR);
}

static int packet_new(const struct netd_header *header, const void *body, size_t len,
                      const int *fds, size_t n_fds, struct packet **ret)
{
    struct packet *packet = calloc(1, sizeof *packet);

    if (!packet)
        return -ENOMEM;
    packet->msg.header = *header;
    if (len > 0)
        memcpy(&packet->msg.body, body, len);
    packet->len = len;
    for (; packet->n_fds < n_fds; packet->n_fds++) {
        int copy = fcntl(fds[packet->n_fds], F_DUPFD_CLOEXEC, 3);

        if (copy < 0) {
            packet_free(packet);
            return -EMFILE;
        }
        packet->fds[packet->n_fds] = copy;
    }
    *ret = packet;
    return 0;
}

static void watch(struct session *session)
{
    uint32_t events = session->first ? EPOLLIN | EPOLLOUT : EPOLLIN;

    (void)sd_event_source_set_io_events(session->source, events);
}

static void enqueue(struct session *session, const struct netd_header *header, const void *body,
                    size_t len, const int *fds, size_t n_fds)
{
    struct packet *packet;

    if (session->queued >= QUEUE_MAX) {
        log_warning("[broker %d] does not read its answers: session ended", (int)session->pid);
        session_break(session);
        return;
    }
    if (packet_new(header, body, len, fds, n_fds, &packet) < 0) {
        log_error("[broker %d] no memory for an answer: session ended", (int)session->pid);
        session_break(session);
        return;
    }
    *session->last = packet;
    session->last = &packet->next;
    session->queued++;
    watch(session);
}

void session_send(struct session *session, const struct netd_header *header, const void *body,
                  size_t len, const int *fds, size_t n_fds)
{
    struct netd_msg msg = { .header = *header };
    int r = -EAGAIN;

    if (session->broken)
        return;
    if (len > 0)
        memcpy(&msg.body, body, len);
    if (!session->first) /* else it would overtake */
        r = netd_msg_send(session->fd, &msg, len, fds, n_fds);
    if (r == -EAGAIN)
        enqueue(session, header, body, len, fds, n_fds);
    else if (r < 0)
        session_break(session);
}

static void flush(struct session *session)
{
    while (session->first && !session->broken) {
        struct packet *packet = session->first;
        int r = netd_msg_send(session->fd, &packet->msg, packet->len, packet->fds, packet->n_fds);

        if (r == -EAGAIN)
            break;
        if (r < 0)
            session_break(session);
        session->first = packet->next;
        if (!session->first)
            session->last = &session->first;
        session->queued--;
        packet_free(packet);
    }
    watch(session);
}

/* ---- sessions --------------------------------------------------------------------- */

static void session_free(struct session *session)
{
    struct server *server = session->server;
    struct session **at = &server->sessions;

    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    server->n_sessions--;
    while (session->first) {
        struct packet *packet = session->first;

        session->first = packet->next;
        packet_free(packet);
    }
    session->source = sd_event_source_disable_unref(session->source);
    fd_closep(&session->fd);
    free(session);
}

static void session_end(struct session *session)
{
    struct server *server = session->server;
    bool broker = server->broker == session;

    if (broker) {
        log_info("[broker %d] session ended", (int)session->pid);
        server->broker = NULL;
    }
    session_free(session);
    if (broker)
        server->events.broker_gone(server->events.arg);
}

/* One packet, and what became of it. Negative: the session is over. */
static int serve_one(struct session *session)
{
    const struct server *server = session->server;
    struct netd_msg msg;
    size_t len, n_fds = 0; /* no request has descriptors */
    int r;

    r = netd_msg_recv(session->fd, &msg, &len, NULL, &n_fds);
    if (r == -EAGAIN)
        return 0;
    if (r == 0 && len == 0)
        return -EPIPE;
    if (r == 0)
        r = netd_msg_check(&msg, len, NETD_TO_HELPER);
    if (r == -EPROTONOSUPPORT)
        return server->events.other_version(server->events.arg, session, &msg.header);
    if (r < 0) {
        log_warning("[broker %d] malformed message (%s): session ended", (int)session->pid,
                    strerror(-r));
        return r;
    }
    return server->events.request(server->events.arg, session, &msg);
}

static int on_session(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct session *session = arg;
    int r = 0;

    (void)source;
    (void)fd;
    if (events & EPOLLOUT)
        flush(session);
    if ((events & EPOLLIN) && !session->broken)
        r = serve_one(session);
    if (r < 0 || session->broken || (events & (EPOLLHUP | EPOLLERR)) == EPOLLERR ||
        ((events & EPOLLHUP) && !(events & EPOLLIN)))
        session_end(session);
    return 0;
}

/* Whose it is: our own user's. Seen from the namespace every other one is "nobody", so where it
 * should be another one's, somebody outside has to look. */
static int check_peer(const struct server *server, int fd, pid_t *ret_pid)
{
    struct ucred cred;
    socklen_t len = sizeof cred;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    *ret_pid = cred.pid;
    if (server->events.admit)
        return server->events.admit(server->events.arg, fd);
    return cred.uid == getuid() ? 0 : -EPERM;
}

static int session_new(struct server *server, int fd, pid_t pid)
{
    struct session *session = calloc(1, sizeof *session);
    int r;

    if (!session)
        return -ENOMEM;
    *session = (struct session){
        .server = server, .fd = -1, .pid = pid, .serial = ++server->serial, .phase = PHASE_HELLO
    };
    session->last = &session->first;
    r = sd_event_add_io(server->event, &session->source, fd, EPOLLIN, on_session, session);
    if (r < 0) {
        free(session);
        return r;
    }
    session->fd = fd;
    session->next = server->sessions;
    server->sessions = session;
    server->n_sessions++;
    return 0;
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *arg)
{
    const struct server *server = arg;

    (void)source;
    (void)usec;
    return sd_event_source_set_enabled(server->source, SD_EVENT_ON);
}

/* Who waits would wake us without end. */
static void pause_listening(const struct server *server)
{
    (void)sd_event_source_set_enabled(server->source, SD_EVENT_OFF);
    (void)sd_event_source_set_time_relative(server->pause, PAUSE_USEC);
    (void)sd_event_source_set_enabled(server->pause, SD_EVENT_ONESHOT);
}

static int on_connection(sd_event_source *source, int listening, uint32_t events, void *arg)
{
    struct server *server = arg;
    AUTO_FD fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    pid_t pid = 0;
    int r;

    (void)source;
    (void)events;
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            pause_listening(server);
        return 0;
    }
    r = check_peer(server, fd, &pid);
    if (r == 0)
        r = server->n_sessions >= SESSIONS_MAX ? -EUSERS : session_new(server, fd, pid);
    if (r < 0)
        (void)log_failure(r, "[broker %d] connection refused", (int)pid);
    else
        (void)fd_take(&fd);
    return 0;
}

enum phase session_phase(const struct session *session)
{
    return session->phase;
}

void session_set_phase(struct session *session, enum phase phase)
{
    session->phase = phase;
    if (phase == PHASE_LEARNING)
        session->server->broker = session;
}

uint64_t session_serial(const struct session *session)
{
    return session->serial;
}

struct session *session_find(struct server *server, uint64_t serial)
{
    for (struct session *s = server->sessions; s; s = s->next)
        if (s->serial == serial && !s->broken)
            return s;
    return NULL;
}

struct session *server_broker(struct server *server)
{
    char byte;

    /* A broker that has just died holds nothing any more: its successor, which has
     * got the lock, may be here before we hear of the end. */
    if (server->broker && (server->broker->broken ||
                           recv(server->broker->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0))
        return NULL;
    return server->broker;
}

/* ---- the socket -------------------------------------------------------------------- */

int server_listen(const char *path)
{
    struct sockaddr_un here = { .sun_family = AF_UNIX };
    char directory[sizeof here.sun_path];
    AUTO_FD fd = -1, made = -1;
    int r;

    r = str_copy(here.sun_path, sizeof here.sun_path, path);
    if (r < 0)
        return r;
    (void)str_format(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    made = dir_open_private(directory);
    if (made < 0)
        return made;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* We hold the lock, so whoever bound it is dead. */
    (void)unlink(path);
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0 || chmod(path, 0600) < 0 ||
        listen(fd, 16) < 0)
        return -errno;
    return fd_take(&fd);
}

int server_unlisten(const char *path)
{
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int take_new_socket(struct server *server, int fd)
{
    sd_event_source *source = NULL;
    int r = sd_event_add_io(server->event, &source, fd, EPOLLIN, on_connection, server);

    if (r < 0)
        return r;
    sd_event_source_disable_unref(server->source);
    fd_closep(&server->fd);
    server->source = source;
    server->fd = fd;
    return 0;
}

static int listen_again(void *arg)
{
    struct server *server = arg;
    AUTO_FD fd = server->events.listen(server->events.arg);
    int r = fd < 0 ? fd : take_new_socket(server, fd);

    if (r < 0) {
        log_debug("%s has vanished and cannot be made anew: %s", server->path, strerror(-r));
        return r;
    }
    (void)fd_take(&fd);
    log_info("%s had vanished, and was made anew", server->path);
    return 0;
}

static int add_sources(struct server *server, int fd)
{
    int r = sd_event_add_io(server->event, &server->source, fd, EPOLLIN, on_connection, server);

    if (r >= 0)
        r = sd_event_add_time(server->event, &server->pause, CLOCK_MONOTONIC, 0, 0, on_pause_over,
                              server);
    if (r >= 0)
        r = sd_event_source_set_enabled(server->pause, SD_EVENT_OFF);
    if (r >= 0 && server->path)
        r = path_watch_new(server->event, server->path, listen_again, server, &server->watch);
    return r;
}

static void forget_sources(struct server *server)
{
    path_watch_free(server->watch);
    sd_event_source_disable_unref(server->source);
    sd_event_source_disable_unref(server->pause);
}

int server_new(sd_event *event, int fd, const char *path, const struct server_events *events,
               struct server **ret)
{
    struct server *server = calloc(1, sizeof *server);
    int r;

    if (!server)
        return -ENOMEM;
    server->event = event;
    server->path = path;
    server->events = *events;
    r = add_sources(server, fd);
    if (r < 0) {
        forget_sources(server);
        free(server);
        return r;
    }
    server->fd = fd;
    *ret = server;
    return 0;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    while (server->sessions)
        session_free(server->sessions);
    forget_sources(server);
    if (server->path)
        server->events.unlisten(server->events.arg);
    fd_closep(&server->fd);
    free(server);
}
