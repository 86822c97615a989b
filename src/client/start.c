/* SPDX-License-Identifier: Apache-2.0 */
/* start.c - starts the user's broker, from inside somebody else's program.
 *
 * A library must not disturb its host: posix_spawn() runs none of its atfork handlers
 * and copies no memory; the child gets default signals and an empty mask, whatever the
 * host made of them; and the host may ignore SIGCHLD or reap our child itself, so that
 * the exit status is taken as a hint and the socket as the truth.
 */
#include "start.h"
#include "fd.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PROGRAM "vmnet-broker"

/* A program in the directory that we were started from is trusted as we are, unless
 * it is somebody else's: anybody may put a file into /tmp. */
static bool ours_to_run(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & S_IWOTH) &&
           (st.st_uid == 0 || st.st_uid == geteuid()) && access(path, X_OK) == 0;
}

static bool beside_us(char *ret, size_t size)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return false;
    exe[n] = '\0';
    char *slash = strrchr(exe, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return str_format(ret, size, "%s/" PROGRAM, exe) == 0 && ours_to_run(ret);
}

void start_find_program(char *ret, size_t size)
{
    const char *chosen = secure_getenv("VMNET_BROKER_PROGRAM");
    if (chosen && chosen[0] && str_copy(ret, size, chosen) == 0)
        return;
    if (beside_us(ret, size))
        return;
    if (str_copy(ret, size, BINDIR "/" PROGRAM) == 0 && access(ret, X_OK) == 0)
        return;
    /* A set-user-id program must not run what its caller's PATH names. */
    if (secure_getenv("PATH"))
        (void)str_copy(ret, size, PROGRAM);
}

static int prepare_files(posix_spawn_file_actions_t *files, int err_pipe)
{
    int r = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDWR, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(files, 0, 1);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(files, err_pipe, 2);
    return -r;
}

static int prepare_signals(posix_spawnattr_t *attr)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int r = posix_spawnattr_setsigmask(attr, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attr, &all);
    if (r == 0)
        r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return -r;
}

static int spawn(const char *program, int err_pipe, pid_t *ret)
{
    char name[] = PROGRAM, user[] = "--user", background[] = "--background";
    char *argv[] = { name, user, background, NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;

    int r = -posix_spawn_file_actions_init(&files);
    if (r < 0)
        return r;
    r = -posix_spawnattr_init(&attr);
    if (r == 0) {
        r = prepare_files(&files, err_pipe);
        if (r == 0)
            r = prepare_signals(&attr);
        if (r == 0)
            r = -posix_spawnp(ret, program, &files, &attr, argv, environ);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&files);
    return r;
}

/* Until the program has ended, or became a daemon: both close their end. What does not
 * fit is read and dropped, lest the program wait for us. */
static void read_words(int fd, char *ret, size_t size)
{
    char rest[256];
    size_t len = 0;
    for (;;) {
        size_t room = size - 1 - len;
        ssize_t n = room > 0 ? read(fd, ret + len, room) : read(fd, rest, sizeof rest);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (room > 0)
            len += (size_t)n;
    }
    while (len > 0 && ret[len - 1] == '\n')
        len--;
    ret[len] = '\0';
}

/* Whether the program failed. Where the host reaps children itself nobody knows. */
static bool ended_badly(pid_t pid)
{
    int status;
    pid_t r;
    do
        r = waitpid(pid, &status, 0);
    while (r < 0 && errno == EINTR);
    return r == pid && !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int start_broker(struct failure *why)
{
    char program[PATH_MAX] = "", words[sizeof why->why - 64];
    start_find_program(program, sizeof program);
    if (!program[0])
        return failure_set(why, -ENOENT, "cannot find " PROGRAM "; is it installed?");

    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return failure_set(why, -errno, "cannot start %s: %s", program, strerror(errno));
    AUTO_FD reader = ends[0];
    AUTO_FD writer = ends[1];
    pid_t pid = 0;
    int r = spawn(program, writer, &pid);
    if (r < 0)
        return failure_set(why, r, "cannot start %s: %s; is it installed?", program, strerror(-r));
    fd_closep(&writer);

    read_words(reader, words, sizeof words);
    if (!ended_badly(pid))
        return 0;
    const char *last = strrchr(words, '\n'); /* warnings come first, the reason last */
    last = last ? last + 1 : words;
    return failure_set(why, -ECHILD, "%s", last[0] ? last : "vmnet-broker ended without a word");
}
