/* SPDX-License-Identifier: Apache-2.0 */
#include "netd_session.h"

#include "clock.h"
#include "closer.h"
#include "fd.h"
#include "mem.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <time.h>

/* What can wait for an answer at once: clients are limited before (core/policy.h), so
 * this is reached only when netd hangs. */
#define QUESTIONS_MAX     1024u
/* How many messages are handled before others on the loop have their turn. */
#define MESSAGES_PER_WAKE 64

struct question {
    TAILQ_ENTRY(question) link;
    uint64_t since;
    bool sent;
    netd_answered answered;
    void *arg;
    struct netd_msg msg;
    size_t body_len;
};

TAILQ_HEAD(question_list, question);

struct netd_session {
    int fd;
    sd_event_source *source;
    struct netd_session_events events;
    struct question_list questions; /* in the order asked: oldest first, unsent last */
    unsigned n_questions;
    uint32_t last_id;
    uint16_t theirs; /* the version that netd speaks, where it is not ours; else 0 */
    bool ended;
    bool busy, doomed; /* inside handle_input(); freed meanwhile */
};

static void question_free(struct netd_session *session, struct question *q)
{
    TAILQ_REMOVE(&session->questions, q, link);
    session->n_questions--;
    free(q);
}

static void session_end(struct netd_session *session, const struct failure *failure)
{
    struct question *q;

    if (session->ended)
        return;
    session->ended = true;
    session->source = sd_event_source_disable_unref(session->source);
    fd_closep(&session->fd);
    while (!session->doomed && (q = TAILQ_FIRST(&session->questions))) {
        netd_answered answered = q->answered;
        void *arg = q->arg;
        question_free(session, q);
        answered(arg, failure, NULL);
    }
    if (!session->doomed)
        session->events.ended(session->events.arg, failure);
}

/* ---- sending ----------------------------------------------------------------------- */

static void want_output(struct netd_session *session, bool wanted)
{
    if (session->source)
        (void)sd_event_source_set_io_events(session->source, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* Returns an error only where the session is of no use any more. */
static int send_questions(struct netd_session *session)
{
    struct question *q;
    TAILQ_FOREACH (q, &session->questions, link) {
        if (q->sent)
            continue;
        int r = netd_msg_send(session->fd, &q->msg, q->body_len, NULL, 0);
        if (r == -EAGAIN || r == -ENOBUFS) {
            want_output(session, true);
            return 0;
        }
        if (r < 0)
            return r;
        q->sent = true;
    }
    want_output(session, false);
    return 0;
}

int netd_session_ask(struct netd_session *session, uint16_t op, const void *body,
                     netd_answered answered, void *arg)
{
    int len = netd_request_size(op);
    if (len < 0)
        return len;
    if (session->ended)
        return -ENOTCONN;
    if (session->n_questions >= QUESTIONS_MAX)
        return -EBUSY;
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    if (++session->last_id == 0)
        session->last_id = 1; /* 0 is for events */
    q->since = monotonic_usec();
    q->answered = answered;
    q->arg = arg;
    q->body_len = (size_t)len;
    q->msg.header = (struct netd_header){
        .magic = NETD_MAGIC, .version = NETD_VERSION, .op = op, .id = session->last_id
    };
    if (len > 0)
        memcpy(&q->msg.body, body, (size_t)len);
    /* What netd does not take for well-formed would cost the session, and with it everybody
     * else's answers. */
    if (netd_msg_check(&q->msg, sizeof q->msg.header + (size_t)len, NETD_TO_HELPER) < 0) {
        free(q);
        return -EINVAL;
    }
    TAILQ_INSERT_TAIL(&session->questions, q, link);
    session->n_questions++;
    /* A broken socket is noticed by the reading side, which may call back; here is not
     * the place. */
    (void)send_questions(session);
    return 0;
}

/* ---- receiving --------------------------------------------------------------------- */

static struct question *find_question(struct netd_session *session, const struct netd_msg *msg)
{
    struct question *q;
    TAILQ_FOREACH (q, &session->questions, link)
        if (q->msg.header.id == msg->header.id)
            return q->sent && q->msg.header.op == msg->header.op ? q : NULL;
    return NULL;
}

static int handle_answer(struct netd_session *session, const struct netd_answer *answer)
{
    const struct netd_msg *msg = answer->msg;
    struct question *q = find_question(session, msg);
    if (!q)
        return -EPROTO;
    netd_answered answered = q->answered;
    void *arg = q->arg;
    struct failure failure;
    if (!answer->more)
        question_free(session, q);
    if (msg->header.err == 0) {
        answered(arg, NULL, answer);
        return 0;
    }
    (void)failure_set(&failure, msg->header.err, "%s",
                      msg->body.why.why[0] != '\0' ? msg->body.why.why
                                                   : strerror(-msg->header.err));
    answered(arg, &failure, NULL);
    return 0;
}

/* 1: there may be more; 0: nothing there; or why the session must end. */
static int handle_message(struct netd_session *session)
{
    struct netd_msg msg;
    int fds[NETD_QUEUES_MAX];
    size_t len, n_fds = N_ELEMENTS(fds);

    int r = netd_msg_recv(session->fd, &msg, &len, fds, &n_fds);
    if (r == -EAGAIN)
        return 0;
    if (r == 0 && len == 0)
        r = -ECONNRESET;
    if (r < 0)
        return session->theirs ? -EPROTONOSUPPORT : r;
    r = netd_msg_check(&msg, len, NETD_TO_BROKER);
    if (r == -EPROTONOSUPPORT)
        session->theirs = msg.header.version;
    struct netd_answer answer = { .msg = &msg,
                                  .body_len = len - sizeof msg.header, /* len is checked */
                                  .more = msg.header.flags & NETD_MORE,
                                  .fds = fds,
                                  .n_fds = n_fds };
    if (r == 0 && msg.header.id != 0)
        r = handle_answer(session, &answer);
    else if (r == 0)
        session->events.event(session->events.arg, &msg);
    for (size_t i = 0; i < n_fds; i++)
        closer_close(fds[i]);
    /* An older netd makes way for our own; we had better not ask again before it has gone. */
    return r == -EPROTONOSUPPORT && session->theirs < NETD_VERSION ? 1 : r < 0 ? r : 1;
}

static void describe_version(unsigned theirs, struct failure *failure)
{
    if (theirs < NETD_VERSION)
        (void)failure_set(failure, -EPROTONOSUPPORT,
                          "the running vmnet-netd is older than this broker (messages %u, not %u), "
                          "and makes way for a newer one; if it stays, end it by SIGTERM: "
                          "virtual machines keep their networks",
                          theirs, NETD_VERSION);
    else
        (void)failure_set(failure, -EPROTONOSUPPORT,
                          "the running vmnet-netd is newer than this broker (messages %u, not %u): "
                          "end this broker (kill %d), and the next client starts the newer one; "
                          "virtual machines keep their networks",
                          theirs, NETD_VERSION, (int)getpid());
}

static void describe_end(const struct netd_session *session, int err, struct failure *failure)
{
    if (err == -EPROTONOSUPPORT)
        describe_version(session->theirs, failure);
    else if (err == -EPIPE || err == -ECONNRESET)
        (void)failure_set(failure, -ECONNRESET,
                          "vmnet-netd has ended; try again, and the next one answers");
    else if (err == -EPROTO)
        (void)failure_set(failure, err,
                          "vmnet-netd said something that makes no sense; its session is closed");
    else
        (void)failure_set(failure, err, "%s", strerror(-err));
}

/* Whatever is called from here may free the session: then it is only marked, and freed
 * at the end. */
static void handle_io(struct netd_session *session, bool writable)
{
    struct failure failure;
    int r = 1;
    session->busy = true;
    if (writable) {
        int sent = send_questions(session);
        if (sent < 0 && sent != -EPIPE && sent != -ECONNRESET) /* those: first read the rest */
            r = sent;
    }
    for (int n = 0; n < MESSAGES_PER_WAKE && r > 0 && !session->ended && !session->doomed; n++)
        r = handle_message(session);
    if (r < 0 && !session->doomed) {
        describe_end(session, r, &failure);
        session_end(session, &failure);
    }
    session->busy = false;
    if (session->doomed)
        netd_session_free(session);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
    (void)source;
    (void)fd;
    handle_io(arg, revents & EPOLLOUT);
    return 0;
}

int netd_session_turn(struct netd_session *session, uint64_t deadline_usec)
{
    bool unsent = false;
    struct question *q;
    TAILQ_FOREACH (q, &session->questions, link)
        unsent |= !q->sent;

    struct pollfd p = { .fd = session->fd, .events = unsent ? POLLIN | POLLOUT : POLLIN };
    int n = poll(&p, 1, msec_until(deadline_usec));
    if (n == 0 || (n < 0 && errno != EINTR))
        return -ETIMEDOUT;
    if (n > 0)
        handle_io(session, p.revents & POLLOUT);
    return 0;
}

/* ---- life -------------------------------------------------------------------------- */

int netd_session_new(sd_event *event, int fd, const struct netd_session_events *events,
                     struct netd_session **ret)
{
    struct netd_session *session = calloc(1, sizeof *session);
    if (!session)
        return -ENOMEM;
    session->fd = fd;
    session->events = *events;
    TAILQ_INIT(&session->questions);
    int r = sd_event_add_io(event, &session->source, fd, EPOLLIN, on_io, session);
    if (r < 0) {
        free(session);
        return r;
    }
    *ret = session;
    return 0;
}

void netd_session_free(struct netd_session *session)
{
    struct question *q;
    if (!session)
        return;
    if (session->busy) {
        session->doomed = true;
        return;
    }
    while ((q = TAILQ_FIRST(&session->questions)))
        question_free(session, q);
    (void)sd_event_source_disable_unref(session->source);
    fd_closep(&session->fd);
    free(session);
}

uint64_t netd_session_silence(const struct netd_session *session)
{
    const struct question *q = TAILQ_FIRST(&session->questions);
    return q ? monotonic_usec() - q->since : 0;
}
