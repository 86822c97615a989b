/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"
#include "ctl.h"
#include "fd.h"
#include "mem.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Passed on. Not SIGTSTP: a terminal stops us both, and we cannot stop for others. */
static const int passed_on[] = { SIGTERM, SIGINT,  SIGHUP,   SIGQUIT, SIGUSR1,
                                 SIGUSR2, SIGCONT, SIGWINCH, SIGALRM };

int child_exec(char *const *argv)
{
    execvp(argv[0], argv);
    complain("cannot run %s: %s", argv[0], strerror(errno));
    return errno == ENOENT || errno == ENOTDIR ? EXIT_NO_SUCH_COMMAND : EXIT_NOT_EXECUTABLE;
}

/* Blocked before the fork, so that none is lost between it and the wait. */
static void catch_signals(sigset_t *caught, sigset_t *before)
{
    sigemptyset(caught);
    sigaddset(caught, SIGCHLD);
    for (size_t i = 0; i < N_ELEMENTS(passed_on); i++)
        sigaddset(caught, passed_on[i]);
    (void)sigprocmask(SIG_BLOCK, caught, before);
    /* Whoever started us may have ignored it; then nobody could be waited for. */
    (void)signal(SIGCHLD, SIG_DFL);
}

/* What the terminal's keys send reaches the whole foreground group, the command too. */
static bool from_keyboard(const struct signalfd_siginfo *info)
{
    return info->ssi_code == SI_KERNEL;
}

/* The exit status to use, or -1: it goes on. */
static int take_signal(pid_t pid, int signals)
{
    struct signalfd_siginfo info;
    int status;

    if (read(signals, &info, sizeof info) != sizeof info)
        return -1;
    if (info.ssi_signo != SIGCHLD) {
        if (!from_keyboard(&info))
            (void)kill(pid, (int)info.ssi_signo);
        return -1;
    }
    if (waitpid(pid, &status, WNOHANG) != pid)
        return -1; /* it stopped or went on, or somebody else's child ended */
    return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static int await(pid_t pid, int signals, struct hold *hold)
{
    int status = -1;

    while (status < 0) {
        struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
                                { .fd = hold ? hold_fd() : -1, .events = POLLIN } };
        int n = poll(fds, N_ELEMENTS(fds), hold && fds[1].fd < 0 ? HOLD_PAUSE_MSEC : -1);
        if (n > 0 && fds[0].revents)
            status = take_signal(pid, signals);
        else if (n >= 0 && hold)
            (void)hold_again(hold);
    }
    return status;
}

int child_run(char *const *argv, struct hold *hold, const struct child_steps *steps)
{
    sigset_t caught, before;
    catch_signals(&caught, &before);
    AUTO_FD signals = signalfd(-1, &caught, SFD_CLOEXEC);
    pid_t pid = signals < 0 ? -1 : fork();
    if (pid < 0) {
        complain("cannot run %s: %s", argv[0], strerror(errno));
        return EXIT_OURS;
    }
    if (pid == 0) {
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        bool fails = steps && steps->begin && steps->begin(steps->arg) < 0;
        _exit(fails ? EXIT_OURS : child_exec(argv));
    }
    if (steps && steps->started)
        steps->started(steps->arg);
    return await(pid, signals, hold);
}
