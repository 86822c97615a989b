/* SPDX-License-Identifier: Apache-2.0 */
/* netd_starter.c - see netd_starter.h. */
#include "netd_starter.h"

#include "confine.h"
#include "fd.h"
#include "log.h"
#include "mem.h"
#include "netd_start.h"
#include "program.h"
#include "signals.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PROGRAM "vmnet-netd"

struct netd_starter {
    int sock;
    int32_t asked; /* how often */
};

struct order {
    int32_t attempt;
};

struct answer {
    int32_t attempt;
    struct failure failure;
};

/* What the starter process knows. */
struct workshop {
    int sock;
    const struct netd_start_config *config;
};

/* ---- which program ----------------------------------------------------------------- */

/* What the user named is used as it is, so that a mistake is reported, not bypassed. */
int netd_program(const char *program, char *path, size_t size)
{
    const char *named = program ? program : secure_getenv("VMNET_BROKER_NETD");
    if (named && named[0] != '\0')
        return str_copy(path, size, named);
    if (program_beside_us(PROGRAM, path, size) == 0 && access(path, X_OK) == 0)
        return 0;
    return str_copy(path, size, LIBEXECDIR "/" PROGRAM);
}

/* ---- what became of it ------------------------------------------------------------- */

/* The last line is the reason; those before it are its history, and in the log. */
static void last_line(int fd, char *line, size_t size)
{
    char text[1024];
    off_t end = lseek(fd, 0, SEEK_END);
    off_t from = end > (off_t)sizeof text - 1 ? end - (off_t)sizeof text + 1 : 0;
    ssize_t n = end > 0 ? pread(fd, text, sizeof text - 1, from) : 0;
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    text[n > 0 ? n : 0] = '\0';
    const char *newline = strrchr(text, '\n');
    (void)snprintf(line, size, "%.*s", (int)size - 1, newline ? newline + 1 : text);
}

static void describe_end(const char *program, int words, const siginfo_t *info,
                         struct failure *failure)
{
    char line[200];
    last_line(words, line, sizeof line);
    if (info->si_code == CLD_EXITED && info->si_status == 0)
        return;
    if (line[0] != '\0')
        (void)failure_set(failure, -ENETDOWN, PROGRAM " did not start: %s", line);
    else if (info->si_code == CLD_EXITED)
        (void)failure_set(failure, -ENETDOWN, "%s exited with status %d and said nothing", program,
                          info->si_status);
    else
        (void)failure_set(failure, -ENETDOWN, "%s was killed by signal %d", program,
                          info->si_status);
}

/* It goes to the background when it serves, and then this process of it ends. */
static void await(const char *program, pid_t pid, int words, struct failure *failure)
{
    AUTO_FD pidfd = pidfd_open(pid, 0);
    struct pollfd on = { .fd = pidfd, .events = POLLIN };
    siginfo_t info = { 0 };
    int n;

    do /* a stopped starter that goes on begins anew, which is right for netd, too */
        n = pidfd < 0 ? -1 : poll(&on, 1, NETD_START_TIMEOUT_MSEC);
    while (n < 0 && errno == EINTR);
    bool late = n <= 0;

    if (late)
        (void)kill(pid, SIGKILL);
    (void)waitid(P_PID, (id_t)pid, &info, WEXITED);
    if (late)
        (void)failure_set(failure, -ETIMEDOUT, "%s did not become ready within %u s", program,
                          NETD_START_TIMEOUT_MSEC / 1000u);
    else
        describe_end(program, words, &info, failure);
}

/* ---- the starter process ----------------------------------------------------------- */

/* Its words go into a memfd: a pipe could fill up, and somebody would have to read. */
static void start(const struct netd_start_config *config, struct failure *failure)
{
    const char *const argv[] = { PROGRAM,
                                 "--user",
                                 "--background",
                                 "--state-dir",
                                 config->paths.state,
                                 "--runtime-dir",
                                 config->paths.netd,
                                 NULL };
    char program[PATH_MAX] = PROGRAM;
    AUTO_FD words = -1;
    pid_t pid = 0;

    int r = netd_program(config->program, program, sizeof program);
    if (r == 0) {
        words = memfd_create("netd-words", MFD_CLOEXEC);
        r = words < 0 ? -errno : program_spawn(program, argv, words, &pid);
    }
    if (r < 0)
        (void)failure_set(failure, -ENETDOWN, "cannot start %s: %s", program, strerror(-r));
    else
        await(program, pid, words, failure);
}

static _Noreturn void starter_main(const struct workshop *shop)
{
    struct order order;

    (void)prctl(PR_SET_NAME, "vmnet-starter");
    (void)prctl(PR_SET_PDEATHSIG, SIGCONT); /* a stopped one would not notice that we have died */
    (void)setsid();                         /* a terminal's ^C is for others */
    signals_default();
    /* What netd needs of root's: for its user namespace, since the kernel wants it of whoever
     * maps the id 0, to whatever; and two for its spawner (workshop.c). */
    static const int of_root[] = { CAP_SETFCAP, CAP_NET_BIND_SERVICE, CAP_SYS_PTRACE };
    int r = confine_to_capabilities(of_root, N_ELEMENTS(of_root));
    if (r == 0)
        r = confine_not(calls_never);
    if (r < 0) {
        log_failure(r, "the starter cannot confine itself");
        _exit(1);
    }
    while (recv(shop->sock, &order, sizeof order, 0) == sizeof order) {
        struct answer answer = { .attempt = order.attempt };
        start(shop->config, &answer.failure);
        if (send(shop->sock, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer)
            break;
    }
    _exit(0);
}

/* A lock or a client's connection that lived on here would outlive the broker. */
static void keep_only(int sock)
{
    (void)dup3(sock, 3, O_CLOEXEC);
    (void)close_range(4, ~0U, 0);
}

/* ---- the broker's side ------------------------------------------------------------- */

int netd_starter_new(const struct netd_start_config *config, struct netd_starter **ret)
{
    struct netd_starter *starter = calloc(1, sizeof *starter);
    int ends[2];

    if (!starter)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        free(starter);
        return -errno;
    }
    pid_t pid = fork();
    if (pid == 0) {
        const struct workshop shop = { .sock = 3, .config = config };

        keep_only(ends[1]);
        starter_main(&shop);
    }
    int r = pid < 0 ? -errno : 0;
    (void)close(ends[1]);
    starter->sock = ends[0];
    if (r < 0) {
        netd_starter_free(starter);
        return r;
    }
    *ret = starter;
    return 0;
}

/* It ends by itself, and is not waited for: it may be in the middle of an attempt. */
void netd_starter_free(struct netd_starter *starter)
{
    if (!starter)
        return;
    (void)close(starter->sock);
    free(starter);
}

int netd_starter_ask(struct netd_starter *starter)
{
    struct order order = { .attempt = starter->asked = (starter->asked + 1) & INT32_MAX };

    if (send(starter->sock, &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof order)
        return -errno;
    return order.attempt;
}

int netd_starter_fd(const struct netd_starter *starter)
{
    return starter->sock;
}

int netd_starter_answer(struct netd_starter *starter, struct failure *failure)
{
    struct answer answer;
    ssize_t n = recv(starter->sock, &answer, sizeof answer, MSG_DONTWAIT);

    if (n != sizeof answer)
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? -EAGAIN : -EPIPE;
    answer.failure.why[sizeof answer.failure.why - 1] = '\0';
    *failure = answer.failure;
    return answer.attempt;
}
