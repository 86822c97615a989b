/* SPDX-License-Identifier: Apache-2.0 */
/* forwarder_line.c - see forwarder_line.h. */
#include "forwarder_line.h"

#include "clock.h"
#include "fd.h"
#include "log.h"
#include "mem.h"
#include "packet.h"
#include "supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define PATIENCE 1000000u /* usec, for a forwarder's word */

struct queued {
    TAILQ_ENTRY(queued) link;
    struct forwarder_order order;
    int fds[PACKET_FDS];
    size_t n_fds;
};

struct forwarder_line {
    struct forwarder_line_setup setup;
    struct supervised forwarder;
    bool running;
    bool late; /* it owes an answer that was not waited for any longer */
    int to;    /* -1: none */
    sd_event_source *to_io;
    TAILQ_HEAD(, queued) queue;
};

/* ---- orders ------------------------------------------------------------------------ */

static void queued_free(struct forwarder_line *line, struct queued *q)
{
    TAILQ_REMOVE(&line->queue, q, link);
    for (size_t i = 0; i < q->n_fds; i++)
        fd_closep(&q->fds[i]);
    free(q);
}

static void hang_up(struct forwarder_line *line)
{
    struct queued *q;

    line->to_io = sd_event_source_disable_unref(line->to_io);
    line->late = false;
    fd_closep(&line->to);
    while ((q = TAILQ_FIRST(&line->queue)))
        queued_free(line, q);
}

/* One that does not understand us is of no use; its death is noticed like any other. */
static void give_up_on(struct forwarder_line *line, int err)
{
    (void)log_failure(err, "the forwarder does not take its orders");
    (void)child_signal(&line->forwarder.child, SIGKILL);
    hang_up(line);
}

static void send_queue(struct forwarder_line *line)
{
    struct queued *q;
    int r = 0;

    while (line->to >= 0 && (q = TAILQ_FIRST(&line->queue))) {
        r = packet_send(line->to, &q->order, sizeof q->order, q->fds, q->n_fds);
        if (r < 0)
            break;
        queued_free(line, q);
    }
    /* ETOOMANYREFS: too many descriptors are on their way; it will read some. */
    if (r < 0 && r != -EAGAIN && r != -ETOOMANYREFS)
        give_up_on(line, r);
    else if (line->to_io)
        (void)sd_event_source_set_io_events(line->to_io, TAILQ_EMPTY(&line->queue) ? 0 : EPOLLOUT);
}

static int on_forwarder(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct forwarder_line *line = arg;

    (void)source, (void)fd;
    if (events & (EPOLLHUP | EPOLLERR))
        hang_up(line); /* it is dead, which is told elsewhere */
    else
        send_queue(line);
    return 0;
}

/* fd: taken over on success. */
static int connect_to(struct forwarder_line *line, int fd)
{
    int r = sd_event_add_io(line->setup.event, &line->to_io, fd, 0, on_forwarder, line);

    if (r < 0)
        return r;
    line->to = fd;
    return 0;
}

int forwarder_line_order(struct forwarder_line *line, const struct forwarder_order *order, int *fds,
                         size_t n)
{
    struct queued *q;

    if (line->to < 0)
        return -ENOTCONN;
    q = calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    q->order = *order;
    for (; q->n_fds < n; q->n_fds++)
        q->fds[q->n_fds] = fd_take(&fds[q->n_fds]);
    TAILQ_INSERT_TAIL(&line->queue, q, link);
    send_queue(line);
    return 0;
}

/* ---- its word ---------------------------------------------------------------------- */

static int receive(const struct forwarder_line *line, struct forwarder_list *list,
                   uint64_t deadline)
{
    struct pollfd on = { .fd = line->to, .events = POLLIN };
    int fds[PACKET_FDS], r;
    size_t n = 0;

    if (poll(&on, 1, msec_until(deadline)) != 1)
        return -ETIMEDOUT;
    r = packet_receive(line->to, list, sizeof *list, fds, &n);
    for (size_t i = 0; i < n; i++)
        fd_closep(&fds[i]);
    return r < 0 ? r : n > 0 || list->n > FORWARDER_LIST ? -EPROTO : 0;
}

void forwarder_line_await_removal(struct forwarder_line *line, uint32_t number)
{
    uint64_t deadline = monotonic_usec() + (line->late ? 0 : PATIENCE);
    struct forwarder_list word = { 0 };
    int r = 0;

    if (line->to < 0 || !TAILQ_EMPTY(&line->queue)) /* it is dead, or does not read */
        return;
    while (r == 0 && (word.op != FORWARDER_REMOVED || word.numbers[0] != number))
        r = receive(line, &word, deadline); /* earlier ones may come first */
    line->late = r < 0;
}

/* ---- the process ------------------------------------------------------------------- */

static int write_down(void *arg, const struct child *child)
{
    const struct forwarder_line *line = arg;

    return journal_child(line->setup.journal, JOURNAL_FORWARDER, 0, child->pid, child->born);
}

static int start(void *arg, struct child *ret)
{
    struct forwarder_line *line = arg;
    AUTO_FD ours = -1, its = -1;
    int ends[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    ours = ends[0];
    its = ends[1];
    r = spawner_run(line->setup.spawner,
                    &(struct spawner_order){ .kind = CHILD_FORWARDER,
                                             .fds = &its,
                                             .n_fds = 1,
                                             .write_down = write_down,
                                             .arg = line },
                    ret);
    if (r < 0)
        return r;
    r = connect_to(line, ours);
    if (r < 0) { /* it lives, and serves nobody */
        (void)child_signal(ret, SIGKILL);
        child_forget(ret);
        return r;
    }
    (void)fd_take(&ours);
    line->setup.up(line->setup.arg);
    return 0;
}

static void on_ended(void *arg)
{
    struct forwarder_line *line = arg;

    hang_up(line);
    line->setup.down(line->setup.arg);
}

int forwarder_line_start(struct forwarder_line *line)
{
    int r = line->running ? 0 : supervise_start(&line->forwarder);

    line->running = r == 0;
    return r;
}

void forwarder_line_stop(struct forwarder_line *line)
{
    hang_up(line);
    if (line->running)
        supervise_stop(&line->forwarder);
    line->running = false;
    (void)unlinkat(line->setup.dirfd, FORWARDER_SOCKET, 0); /* also that of one that was killed */
}

bool forwarder_line_runs(const struct forwarder_line *line)
{
    return line->running;
}

struct process forwarder_line_process(const struct forwarder_line *line)
{
    const struct child *child = &line->forwarder.child;

    return (struct process){ .pid = child->pid, .born = child->born };
}

/* ---- that of a dead netd ----------------------------------------------------------- */

static int learn(struct forwarder_line *line, void (*has)(void *arg, uint32_t number))
{
    struct forwarder_list list = { .n = FORWARDER_LIST };
    int r = 0;

    while (r == 0 && list.n == FORWARDER_LIST) {
        r = receive(line, &list, monotonic_usec() + PATIENCE);
        if (r == 0 && list.op != FORWARDER_HAS) /* it sends all of its list before it hears us */
            r = -EPROTO;
        for (uint32_t i = 0; r == 0 && i < list.n; i++)
            has(line->setup.arg, list.numbers[i]);
    }
    return r;
}

static int take_over(struct forwarder_line *line, struct child *child,
                     void (*has)(void *arg, uint32_t number))
{
    int r = learn(line, has);

    if (r == 0)
        r = supervise_adopt(&line->forwarder, child);
    return r < 0 ? r : 0;
}

int forwarder_line_adopt(struct forwarder_line *line, const struct process *forwarder, int netd,
                         void (*has)(void *arg, uint32_t number))
{
    struct child child;
    AUTO_FD fd = netd;
    int r = child_adopt(forwarder->pid, forwarder->born, &child);

    if (r < 0)
        return r;
    r = fd < 0 ? -ENOTCONN : connect_to(line, fd);
    if (r == 0) {
        (void)fd_take(&fd);
        r = take_over(line, &child, has);
    }
    line->running = r == 0;
    if (r == 0)
        return 0;
    hang_up(line);
    (void)child_signal(&child, SIGKILL);
    child_forget(&child);
    return log_failure(r, "cannot take over the forwarder, and end it");
}

/* ---- life -------------------------------------------------------------------------- */

int forwarder_line_new(const struct forwarder_line_setup *setup, struct forwarder_line **ret)
{
    struct forwarder_line *line = calloc(1, sizeof *line);

    if (!line)
        return -ENOMEM;
    line->setup = *setup;
    line->to = -1;
    TAILQ_INIT(&line->queue);
    line->forwarder =
        (struct supervised){ .what = "forwarder", .start = start, .ended = on_ended, .arg = line };
    supervise_init(&line->forwarder, setup->event);
    *ret = line;
    return 0;
}

void forwarder_line_free(struct forwarder_line *line)
{
    if (!line)
        return;
    supervise_leave(&line->forwarder);
    hang_up(line);
    free(line);
}
