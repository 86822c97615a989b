/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"
#include "ctl.h"
#include "mem.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
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
static bool from_keyboard(const siginfo_t *info)
{
    return info->si_code == SI_KERNEL;
}

static int await(pid_t pid, const sigset_t *caught)
{
    for (;;) {
        siginfo_t info;
        int sig = sigwaitinfo(caught, &info);
        if (sig < 0)
            continue;
        if (sig != SIGCHLD) {
            if (!from_keyboard(&info))
                (void)kill(pid, sig);
            continue;
        }
        int status;
        if (waitpid(pid, &status, WNOHANG) != pid)
            continue; /* it stopped or went on, or somebody else's child ended */
        return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

int child_run(char *const *argv, void (*started)(void *arg), void *arg)
{
    sigset_t caught, before;
    catch_signals(&caught, &before);
    pid_t pid = fork();
    if (pid < 0) {
        complain("cannot run %s: %s", argv[0], strerror(errno));
        return EXIT_OURS;
    }
    if (pid == 0) {
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        _exit(child_exec(argv));
    }
    if (started)
        started(arg);
    return await(pid, &caught);
}
