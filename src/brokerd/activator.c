/* SPDX-License-Identifier: Apache-2.0 */
/* activator.c - see activator.h. */
#include "activator.h"

#include "clock.h"
#include "fd.h"
#include "mem.h"
#include "signals.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Descriptors in the process. The first is where sd_listen_fds(3) says that it is. */
enum { LISTENING = 3, LEASH };

/* A netd that ends sooner than that, and not well, is no use to whoever waits for it. */
#define STILLBORN_USEC UINT64_C(1000000)

static _Noreturn void become_netd(const struct activator *a)
{
    static const char *const levels[] = { "error", "warning", "info", "debug" };
    char pid[16];

    (void)str_format(pid, sizeof pid, "%d", (int)getpid());
    if (setenv("LISTEN_PID", pid, 1) == 0 && setenv("LISTEN_FDS", "1", 1) == 0 &&
        unsetenv("NOTIFY_SOCKET") == 0 && fcntl(LISTENING, F_SETFD, 0) == 0)
        (void)execl(a->program, "vmnet-netd", "--system", "--log-level", levels[a->log_level],
                    (char *)NULL);
    (void)log_failure(-errno, "cannot start %s", a->program);
    _exit(127);
}

/* Until one of them has something to say. false: the broker has gone. */
static bool wait_for(int fd)
{
    struct pollfd on[] = { { .fd = fd, .events = POLLIN }, { .fd = LEASH, .events = POLLIN } };

    while (on[0].revents == 0 && on[1].revents == 0)
        if (poll(on, N_ELEMENTS(on), -1) < 0 && errno != EINTR)
            return false;
    return on[1].revents == 0;
}

/* Whoever has connected learns by this that there is no netd; its log says why. */
static void refuse_all(void)
{
    int fd;

    while ((fd = accept4(LISTENING, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        (void)close(fd);
}

/* From its start to its end. */
static bool run_netd(const struct activator *a)
{
    uint64_t since = monotonic_usec();
    siginfo_t info = { 0 };
    pid_t pid = fork();

    if (pid == 0)
        become_netd(a);
    AUTO_FD pidfd = pid < 0 ? -1 : pidfd_open(pid, 0);
    if (pidfd < 0) {
        (void)log_failure(-errno, "cannot start %s", a->program);
        refuse_all();
        return true;
    }
    if (!wait_for(pidfd))
        return false;
    (void)waitid(P_PID, (id_t)pid, &info, WEXITED);
    bool well = info.si_code == CLD_EXITED && info.si_status == 0;
    if (!well && monotonic_usec() - since < STILLBORN_USEC)
        refuse_all();
    return true;
}

/* Of the broker's nothing may live on here. */
static void keep_only(int listening, int leash)
{
    int high = fcntl(leash, F_DUPFD_CLOEXEC, LEASH + 1);

    (void)dup3(listening, LISTENING, O_CLOEXEC);
    (void)dup3(high, LEASH, O_CLOEXEC);
    (void)close_range(LEASH + 1, ~0U, 0);
}

static _Noreturn void activator_main(const struct activator *a)
{
    (void)prctl(PR_SET_NAME, "vmnet-starter");
    (void)setsid(); /* a terminal's ^C is for others */
    (void)!chdir("/");
    signals_default();
    int r = confine_to_user(a->netd);
    if (r == 0)
        r = confine_not(calls_never);
    if (r < 0) {
        (void)log_failure(r, "what starts vmnet-netd cannot confine itself");
        _exit(1);
    }
    while (wait_for(LISTENING) && run_netd(a))
        ;
    _exit(0);
}

int activator_start(const struct activator *activator)
{
    pid_t pid = fork();

    if (pid == 0) {
        int listening = fcntl(activator->listening, F_DUPFD_CLOEXEC, LEASH + 1);

        keep_only(listening, activator->leash);
        activator_main(activator);
    }
    return pid < 0 ? -errno : 0;
}
