/* SPDX-License-Identifier: Apache-2.0 */
/* spawner.c - see spawner.h: netd's side of it. workshop.h tells how the sides work together. */
#include "spawner.h"

#include "anchor.h"
#include "fd.h"
#include "packet.h"
#include "workshop.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct spawner {
    int sock;
    pid_t pid;
};

/* Only socket, namespaces and standard descriptors stay: a lock or socket of netd's that
 * lived on here would outlive netd. From 3 on, in the order of `fds`. */
static void keep_only(const int *fds, size_t n)
{
    int high[3];

    for (size_t i = 0; i < n; i++)
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 16);
    for (size_t i = 0; i < n; i++)
        (void)dup3(high[i], 3 + (int)i, O_CLOEXEC);
    (void)close_range(3 + (unsigned)n, ~0U, 0);
}

int spawner_start(pid_t inside_pid, const char *state_path, const char *socket_path,
                  struct spawner **ret)
{
    AUTO_FD userns = -1, netns = -1;
    struct spawner *spawner;
    int ends[2], r;

    r = anchor_open(inside_pid, &userns, &netns);
    if (r < 0)
        return r;
    spawner = calloc(1, sizeof *spawner);
    if (!spawner)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        free(spawner);
        return -errno;
    }
    spawner->pid = fork();
    if (spawner->pid == 0) {
        struct workshop shop = { .sock = 3,
                                 .userns = 4,
                                 .netns = 5,
                                 .anchor = inside_pid,
                                 .state_path = state_path,
                                 .socket_path = socket_path };

        keep_only((int[]){ ends[1], userns, netns }, 3);
        workshop_main(&shop);
    }
    (void)close(ends[1]);
    spawner->sock = ends[0];
    if (spawner->pid < 0) {
        spawner_free(spawner);
        return -EAGAIN;
    }
    *ret = spawner;
    return 0;
}

int spawner_fd(const struct spawner *spawner)
{
    return spawner->sock;
}

void spawner_free(struct spawner *spawner)
{
    if (!spawner)
        return;
    (void)close(spawner->sock);
    if (spawner->pid > 0)
        (void)waitpid(spawner->pid, NULL, 0);
    free(spawner);
}

/* Gives the word, and hears whether the child has become what it should: exec() closes
 * its end. */
static int let_go(int leash)
{
    int32_t err = 0;

    if (send(leash, "", 1, MSG_NOSIGNAL) != 1)
        return -EPIPE;
    return read(leash, &err, sizeof err) == sizeof err ? err : 0;
}

/* One question and its answer; the answer's descriptors are the caller's, also on error. */
static int ask(struct spawner *spawner, struct order *order, const int *fds, struct answer *ret,
               int *ret_fds, size_t *ret_n)
{
    int r = packet_send(spawner->sock, order, sizeof *order, fds, order->n_fds);

    if (r == 0)
        r = packet_receive(spawner->sock, ret, sizeof *ret, ret_fds, ret_n);
    return r < 0 ? r : ret->err;
}

static void close_all(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
}

int spawner_run(struct spawner *spawner, const struct spawner_order *order, struct child *ret)
{
    struct order wanted = { .kind = order->kind,
                            .network = order->network,
                            .n_fds = (uint32_t)order->n_fds };
    struct answer answer = { 0 };
    struct child child;
    int fds[PACKET_FDS];
    size_t n = 0;
    int r;

    if (order->n_fds > PACKET_FDS)
        return -EINVAL;
    r = ask(spawner, &wanted, order->fds, &answer, fds, &n);
    if (r < 0 || n != RESULTS) { /* without its leash a child ends */
        close_all(fds, n);
        return r < 0 ? r : -EMFILE;
    }
    child = (struct child){ .pid = answer.pid, .pidfd = fds[RESULT_PIDFD], .born = answer.born };
    r = order->write_down(order->arg, &child);
    if (r == 0)
        r = let_go(fds[RESULT_LEASH]);
    (void)close(fds[RESULT_LEASH]);
    if (r < 0)
        child_forget(&child);
    else
        *ret = child;
    return r;
}

int spawner_listen(struct spawner *spawner)
{
    struct order order = { .kind = ORDER_LISTEN };
    struct answer answer = { 0 };
    int fds[PACKET_FDS];
    size_t n = 0;
    int r = ask(spawner, &order, NULL, &answer, fds, &n);

    if (r == 0 && n == 1)
        return fds[0];
    close_all(fds, n);
    return r < 0 ? r : -EMFILE;
}

int spawner_unlisten(struct spawner *spawner)
{
    struct order order = { .kind = ORDER_UNLISTEN };
    struct answer answer = { 0 };
    int fds[PACKET_FDS];
    size_t n = 0;
    int r = ask(spawner, &order, NULL, &answer, fds, &n);

    close_all(fds, n);
    return r;
}

int child_adopt(pid_t pid, uint64_t born, struct child *ret)
{
    const struct process process = { .pid = pid, .born = born };
    AUTO_FD pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;

    /* Looked at after the pidfd was opened: now both mean the same process. */
    if (pidfd < 0 || !process_alive(&process))
        return -ESRCH;
    *ret = (struct child){ .pid = pid, .pidfd = fd_take(&pidfd), .born = born };
    return 0;
}

int child_signal(const struct child *child, int sig)
{
    if (child->pid <= 0 || child->pidfd < 0)
        return -ESRCH;
    return pidfd_send_signal(child->pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

void child_forget(struct child *child)
{
    if (child->pid > 0)
        fd_closep(&child->pidfd);
    *child = (struct child){ .pidfd = -1 };
}
