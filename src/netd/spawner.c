/* SPDX-License-Identifier: Apache-2.0 */
/* spawner.c - see spawner.h: netd's side of it. workshop.h tells how the sides work together. */
#include "spawner.h"

#include "anchor.h"
#include "descriptors.h"
#include "fd.h"
#include "packet.h"
#include "partner.h"
#include "str.h"
#include "workshop.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

struct spawner {
    struct partner partner;
};

int spawner_start(const struct spawner_setup *setup, struct spawner **ret)
{
    AUTO_FD userns = -1, netns = -1;
    struct spawner *spawner;
    uint64_t born = 0;
    int ends[2], r;
    pid_t pid;

    r = anchor_open(setup->inside, &userns, &netns);
    if (r < 0)
        return r;
    spawner = calloc(1, sizeof *spawner);
    if (!spawner)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        free(spawner);
        return -errno;
    }
    (void)process_born(getpid(), &born);
    pid = fork();
    if (pid == 0) {
        struct workshop shop = { .sock = 3,
                                 .userns = 4,
                                 .netns = 5,
                                 .anchor = setup->inside,
                                 .setup = *setup,
                                 .born = born };

        descriptors_keep_only((int[]){ ends[1], userns, netns }, 3);
        workshop_main(&shop);
    }
    r = -errno;
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        free(spawner);
        return r;
    }
    r = partner_init(&spawner->partner, "spawner", ends[0], pid);
    if (r < 0) {
        spawner_free(spawner);
        return r;
    }
    *ret = spawner;
    return 0;
}

void spawner_free(struct spawner *spawner)
{
    if (!spawner)
        return;
    partner_end(&spawner->partner);
    free(spawner);
}

const struct partner *spawner_partner(const struct spawner *spawner)
{
    return &spawner->partner;
}

int spawner_ask(struct spawner *spawner, const struct spawner_order *order)
{
    struct order wanted = { .kind = order->kind,
                            .network = order->network,
                            .n_fds = (uint32_t)order->n_fds };

    if (order->interface &&
        str_copy(wanted.interface, sizeof wanted.interface, order->interface) < 0)
        return -EINVAL;
    if (order->n_fds > PACKET_FDS)
        return -EINVAL;
    return packet_send(spawner->partner.sock, &wanted, sizeof wanted, order->fds, order->n_fds);
}

/* Exactly so many descriptors, or an error and none. */
static int hear(const struct spawner *spawner, struct answer *ret, int *ret_fds, size_t wanted)
{
    int fds[PACKET_FDS];
    size_t n = 0;
    int r;

    r = partner_hear(&spawner->partner, ret, sizeof *ret, fds, &n);
    if (r == 0)
        r = ret->err;
    if (r == 0 && n != wanted)
        r = -EMFILE;
    for (size_t i = 0; i < n; i++)
        if (r == 0)
            ret_fds[i] = fds[i];
        else
            (void)close(fds[i]);
    return r;
}

int spawner_open_port(struct spawner *spawner, const struct host_port *port)
{
    struct order order = { .kind = ORDER_PORT, .port = *port };
    struct answer answer = { 0 };
    int fd = -1, r = packet_send(spawner->partner.sock, &order, sizeof order, NULL, 0);

    if (r == 0)
        r = hear(spawner, &answer, &fd, 1);
    return r < 0 ? r : fd;
}

/* Without its leash a child ends. */
static int hear_of_child(const struct spawner *spawner, struct child *ret, int *ret_leash)
{
    struct answer answer = { 0 };
    int fds[RESULTS];
    int r = hear(spawner, &answer, fds, RESULTS);

    if (r < 0)
        return r;
    *ret = (struct child){ .pid = answer.pid, .pidfd = fds[RESULT_PIDFD], .born = answer.born };
    *ret_leash = fds[RESULT_LEASH];
    return 0;
}

void spawner_drop(struct spawner *spawner)
{
    struct child child;
    AUTO_FD leash = -1;

    if (hear_of_child(spawner, &child, &leash) == 0)
        child_forget(&child);
}

int spawner_take(struct spawner *spawner, const struct spawner_order *order, struct child *ret,
                 int *ret_leash)
{
    struct child child;
    AUTO_FD leash = -1;
    int r;

    r = hear_of_child(spawner, &child, &leash);
    if (r < 0)
        return r;
    r = order->write_down(order->arg, &child);
    if (r == 0 && send(leash, "", 1, MSG_NOSIGNAL) != 1)
        r = -EPIPE;
    if (r < 0) {
        child_forget(&child);
        return r;
    }
    *ret = child;
    *ret_leash = fd_take(&leash);
    return 0;
}

int child_outcome(int *leash)
{
    int32_t err = 0;
    ssize_t n = *leash >= 0 ? read(*leash, &err, sizeof err) : 0;

    if (n < 0 && errno == EAGAIN)
        err = -ETIMEDOUT;
    else if (n != sizeof err) /* exec() closes the other end, and says nothing */
        err = 0;
    fd_closep(leash);
    return err;
}

int spawner_run(struct spawner *spawner, const struct spawner_order *order, struct child *ret)
{
    struct child child;
    AUTO_FD leash = -1;
    int r;

    r = spawner_ask(spawner, order);
    if (r == 0)
        r = spawner_take(spawner, order, &child, &leash);
    if (r < 0)
        return r;
    r = child_outcome(&leash);
    if (r == 0) {
        *ret = child;
        return 0;
    }
    (void)child_signal(&child, SIGKILL);
    child_forget(&child);
    return r;
}

/* Returns the pid of the answer. */
static int order_other(struct spawner *spawner, struct order order, int *ret_fds, size_t n)
{
    struct answer answer = { 0 };
    int r = packet_send(spawner->partner.sock, &order, sizeof order, NULL, 0);

    if (r == 0)
        r = hear(spawner, &answer, ret_fds, n);
    return r < 0 ? r : answer.pid;
}

int spawner_listen(struct spawner *spawner)
{
    int fd = -1;
    int r = order_other(spawner, (struct order){ .kind = ORDER_LISTEN }, &fd, 1);

    return r < 0 ? r : fd;
}

int spawner_unlisten(struct spawner *spawner)
{
    return order_other(spawner, (struct order){ .kind = ORDER_UNLISTEN }, NULL, 0);
}

int spawner_unname(struct spawner *spawner)
{
    return order_other(spawner, (struct order){ .kind = ORDER_UNNAME }, NULL, 0);
}

int spawner_admit(struct spawner *spawner, int fd)
{
    struct order order = { .kind = ORDER_ADMIT, .n_fds = 1 };
    struct answer answer = { 0 };
    int r = packet_send(spawner->partner.sock, &order, sizeof order, &fd, 1);

    return r < 0 ? r : hear(spawner, &answer, NULL, 0);
}

pid_t spawner_find_holder(struct spawner *spawner, uint32_t index, uint64_t taps)
{
    const struct order order = { .kind = ORDER_FIND_HOLDER, .network = index, .taps = taps };

    return order_other(spawner, order, NULL, 0);
}

int spawner_sweep_orphans(struct spawner *spawner)
{
    return order_other(spawner, (struct order){ .kind = ORDER_SWEEP_ORPHANS }, NULL, 0);
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

void child_end(const struct process *process)
{
    struct child child;

    if (child_adopt(process->pid, process->born, &child) < 0)
        return;
    (void)child_signal(&child, SIGKILL);
    child_forget(&child);
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
