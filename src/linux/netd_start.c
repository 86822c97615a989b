/* SPDX-License-Identifier: Apache-2.0 */
#include "netd_start.h"

#include "fd.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM            "vmnet-netd"
/* Measured 30 to 60 ms here; this long only where something is badly wrong. */
#define START_TIMEOUT_USEC UINT64_C(10000000)

extern char **environ;

struct netd_start {
    sd_event *event;
    const struct netd_start_config *config;
    netd_started started; /* NULL: nobody waits any more */
    void *arg;
    struct failure failure; /* err 0: none yet */
    char program[PATH_MAX];
    int pidfd, words; /* words: what it writes to standard error, a memfd */
    sd_event_source *source, *timer;
};

/* ---- connecting -------------------------------------------------------------------- */

static int check_owner(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    return cred.uid == 0 || cred.uid == geteuid() ? 0 : -EPERM;
}

int netd_connect(const struct paths *paths)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int r = paths_netd_socket(paths, addr.sun_path, sizeof addr.sun_path);
    if (r < 0)
        return r;
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) < 0)
        return -errno;
    r = check_owner(fd);
    return r < 0 ? r : fd_take(&fd);
}

/* ---- which program ----------------------------------------------------------------- */

static int beside_ourselves(char *path, size_t size)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return -errno;
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash)
        return -ENOENT;
    *slash = '\0';
    return str_format(path, size, "%s/" PROGRAM, self);
}

/* What the user named is used as it is, so that a mistake is reported, not bypassed. */
static int find_program(const struct netd_start_config *config, char *path, size_t size)
{
    const char *named = config->program ? config->program : secure_getenv("VMNET_BROKER_NETD");
    if (named && named[0] != '\0')
        return str_copy(path, size, named);
    if (beside_ourselves(path, size) == 0 && access(path, X_OK) == 0)
        return 0;
    return str_copy(path, size, LIBEXECDIR "/" PROGRAM);
}

/* ---- the end of an attempt --------------------------------------------------------- */

static void start_free(struct netd_start *start)
{
    (void)sd_event_source_disable_unref(start->source);
    (void)sd_event_source_disable_unref(start->timer);
    fd_closep(&start->pidfd);
    fd_closep(&start->words);
    free(start);
}

/* Frees the attempt first: whoever is told may begin the next one. */
static void finish(struct netd_start *start, int fd)
{
    netd_started started = start->started;
    void *arg = start->arg;
    struct failure failure = start->failure;
    start_free(start);
    if (started)
        started(arg, failure.err < 0 ? &failure : NULL, fd);
}

static void finish_connecting(struct netd_start *start)
{
    int fd = netd_connect(&start->config->paths);
    if (fd < 0)
        (void)failure_set(&start->failure, -ENETDOWN, "cannot connect to " PROGRAM " in %s: %s%s",
                          start->config->paths.runtime, strerror(-fd),
                          start->config->system ? "; try: systemctl start vmnet-netd.socket" : "");
    finish(start, fd);
}

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

static void describe_end(struct netd_start *start, const siginfo_t *info)
{
    char line[200];
    last_line(start->words, line, sizeof line);
    if (line[0] != '\0')
        (void)failure_set(&start->failure, -ENETDOWN, PROGRAM " did not start: %s", line);
    else if (info->si_code == CLD_EXITED)
        (void)failure_set(&start->failure, -ENETDOWN, "%s exited with status %d and said nothing",
                          start->program, info->si_status);
    else
        (void)failure_set(&start->failure, -ENETDOWN, "%s was killed by signal %d", start->program,
                          info->si_status);
}

static int on_child(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
    struct netd_start *start = arg;
    siginfo_t info = { 0 };

    (void)source;
    (void)revents;
    if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return 0;
    if (!start->started) { /* timed out before; this was only to reap it */
        start_free(start);
    } else if (info.si_code == CLD_EXITED && info.si_status == 0) {
        finish_connecting(start);
    } else {
        describe_end(start, &info);
        finish(start, -1);
    }
    return 0;
}

/* Tells whoever waits, and stays until the killed process can be reaped. */
static int on_timeout(sd_event_source *source, uint64_t usec, void *arg)
{
    struct netd_start *start = arg;
    netd_started started = start->started;
    struct failure failure;

    (void)source;
    (void)usec;
    (void)pidfd_send_signal(start->pidfd, SIGKILL, NULL, 0);
    (void)failure_set(&failure, -ETIMEDOUT, "%s did not become ready within %u s", start->program,
                      (unsigned)(START_TIMEOUT_USEC / 1000000));
    start->started = NULL;
    if (started)
        started(start->arg, &failure, -1);
    return 0;
}

/* ---- spawning ---------------------------------------------------------------------- */

/* Standard input and output lead nowhere, standard error into the memfd; everything else
 * of ours is close-on-exec. No pipe: it could fill up, and somebody would have to read. */
static int set_up_files(posix_spawn_file_actions_t *files, int words)
{
    int r = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDWR, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(files, 0, 1);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(files, words, 2);
    return -r;
}

static int set_up_signals(posix_spawnattr_t *attr)
{
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int r = posix_spawnattr_setsigmask(attr, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attr, &all);
    if (r == 0)
        r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return -r;
}

static int spawn(const struct netd_start *start, pid_t *ret)
{
    const struct paths *paths = &start->config->paths;
    const char *const argv[] = { start->program, "--user",        "--background", "--state-dir",
                                 paths->state,   "--runtime-dir", paths->runtime, NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;

    int r = -posix_spawn_file_actions_init(&files);
    if (r < 0)
        return r;
    r = -posix_spawnattr_init(&attr);
    if (r == 0) {
        r = set_up_files(&files, start->words);
        if (r == 0)
            r = set_up_signals(&attr);
        if (r == 0)
            r = -posix_spawn(ret, start->program, &files, &attr, (char *const *)(uintptr_t)argv,
                             environ);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&files);
    return r;
}

static int watch(struct netd_start *start, pid_t pid)
{
    start->pidfd = pidfd_open(pid, 0); /* close-on-exec by itself */
    if (start->pidfd < 0)
        return -errno;
    int r = sd_event_add_io(start->event, &start->source, start->pidfd, EPOLLIN, on_child, start);
    if (r >= 0)
        r = sd_event_add_time_relative(start->event, &start->timer, CLOCK_MONOTONIC,
                                       START_TIMEOUT_USEC, 0, on_timeout, start);
    return r < 0 ? r : 0;
}

static void start_program(struct netd_start *start)
{
    pid_t pid = 0;
    int r = find_program(start->config, start->program, sizeof start->program);
    if (r == 0) {
        start->words = memfd_create("netd-words", MFD_CLOEXEC);
        r = start->words < 0 ? -errno : spawn(start, &pid);
    }
    if (r == 0)
        r = watch(start, pid);
    if (r < 0) {
        (void)failure_set(&start->failure, -ENETDOWN, "cannot start %s: %s", start->program,
                          strerror(-r));
        finish(start, -1);
    }
}

static int on_begin(sd_event_source *source, void *arg)
{
    struct netd_start *start = arg;

    (void)source;
    start->source = sd_event_source_disable_unref(start->source);
    int fd = netd_connect(&start->config->paths);
    if (fd >= 0)
        finish(start, fd);
    else if (start->config->system || (fd != -ENOENT && fd != -ECONNREFUSED))
        finish_connecting(start); /* for the words of the same error */
    else
        start_program(start);
    return 0;
}

int netd_start_begin(sd_event *event, const struct netd_start_config *config, netd_started started,
                     void *arg, struct netd_start **ret)
{
    struct netd_start *start = calloc(1, sizeof *start);
    if (!start)
        return -ENOMEM;
    start->event = event;
    start->config = config;
    start->started = started;
    start->arg = arg;
    start->pidfd = start->words = -1;
    int r = sd_event_add_defer(event, &start->source, on_begin, start);
    if (r < 0) {
        start_free(start);
        return r;
    }
    *ret = start;
    return 0;
}

void netd_start_cancel(struct netd_start *start)
{
    if (start)
        start_free(start);
}
