/* SPDX-License-Identifier: Apache-2.0 */
/* start.c - starts the user's broker, from inside somebody else's program.
 *
 * A library must not disturb its host (base/program.c), nor count on it: the host may
 * ignore SIGCHLD or reap our child itself, so that the exit status is taken as a hint and
 * the socket as the truth.
 */
#include "start.h"
#include "fd.h"
#include "program.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
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

void start_find_program(char *ret, size_t size)
{
    const char *chosen = secure_getenv("VMNET_BROKER_PROGRAM");
    if (chosen && chosen[0] && str_copy(ret, size, chosen) == 0)
        return;
    if (program_beside_us(PROGRAM, ret, size) == 0 && ours_to_run(ret))
        return;
    if (str_copy(ret, size, BINDIR "/" PROGRAM) == 0 && access(ret, X_OK) == 0)
        return;
    /* A set-user-id program must not run what its caller's PATH names. */
    if (secure_getenv("PATH"))
        (void)str_copy(ret, size, PROGRAM);
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
    static const char *const argv[] = { PROGRAM, "--user", "--background", NULL };
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
    int r = program_spawn(program, argv, writer, &pid);
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
