/* SPDX-License-Identifier: Apache-2.0 */
/* server_session.c - one session: it begins, brings requests, and ends.
 *
 * One packet is served in a turn of the loop, so that no session keeps the others waiting. What
 * comes is checked for its form here and for its meaning in ops.c; after a packet without the
 * right form nothing that follows is believed, and the session is over.
 */
#include "server_part.h"

#include "fd.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

void session_break(struct session *session)
{
    session->broken = true;
    (void)shutdown(session->fd, SHUT_RDWR);
}

void session_free(struct session *session)
{
    struct server *server = session->server;
    struct session **at = &server->sessions;

    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    server->n_sessions--;
    session_drop_packets(session);
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
        session_flush(session);
    if ((events & EPOLLIN) && !session->broken)
        r = serve_one(session);
    if (r < 0 || session->broken || (events & (EPOLLHUP | EPOLLERR)) == EPOLLERR ||
        ((events & EPOLLHUP) && !(events & EPOLLIN)))
        session_end(session);
    return 0;
}

int session_new(struct server *server, int fd, pid_t pid)
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
