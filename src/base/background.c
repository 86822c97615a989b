/* SPDX-License-Identifier: Apache-2.0 */
/* background.c - a double fork with a socket behind it that carries the outcome.
 *
 * The first fork frees us of the caller's process group, the second of being a
 * session leader that could get a terminal. The other end is held by the daemon alone,
 * so that its death before it is ready is an answer too. A socket and not a pipe,
 * because send() can be told not to raise SIGPIPE when the waiter has been killed.
 */
#include "background.h"
#include "fd.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define READY '+' /* no text that background_failed() sends begins with it */

/* In the original process: wait for the daemon's word, pass it on, and exit. */
__attribute__((noreturn)) static void await(int from)
{
    char text[512];
    size_t len = 0;
    for (;;) {
        ssize_t n = read(from, text + len, sizeof text - 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || len + (size_t)n == sizeof text - 1)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
    if (len > 0 && text[0] == READY)
        _exit(EXIT_SUCCESS);
    fprintf(stderr, "%s\n", len > 0 ? text : "the daemon ended before it was ready; see its log");
    _exit(EXIT_FAILURE);
}

static int standard_streams(int log_fd)
{
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return -errno;
    if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(log_fd >= 0 ? log_fd : null, STDERR_FILENO) < 0)
        return -errno;
    if (null <= STDERR_FILENO)
        (void)fd_take(&null); /* the caller had closed some of them: it is one now */
    return 0;
}

/* Closes everything above standard error but these three (-1: none). */
static void close_others(int a, int b, int c)
{
    int keep[] = { a, b, c };
    unsigned from = STDERR_FILENO + 1;
    for (;;) {
        int next = -1;
        for (int i = 0; i < 3; i++)
            if (keep[i] >= (int)from && (next < 0 || keep[i] < next))
                next = keep[i];
        if (next < 0)
            break;
        if ((unsigned)next > from)
            (void)close_range(from, (unsigned)next - 1, 0);
        from = (unsigned)next + 1;
    }
    (void)close_range(from, ~0u, 0);
}

static int become_daemon(int log_fd, int keep, int ready)
{
    signals_default();
    (void)umask(077);
    if (chdir("/") < 0)
        return -errno;
    int r = standard_streams(log_fd);
    if (r < 0)
        return r;
    close_others(log_fd, keep, ready);
    return 0;
}

int background_detach(int log_fd, int keep, int *ret_ready)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    AUTO_FD from = ends[0];
    AUTO_FD ready = ends[1];

    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child > 0) {
        fd_closep(&ready);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
        await(from);
    }
    fd_closep(&from);
    if (setsid() < 0)
        _exit(EXIT_FAILURE); /* the waiting process sees the socket end */
    pid_t daemon = fork();
    if (daemon != 0)
        _exit(daemon < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
    int r = become_daemon(log_fd, keep, ready);
    if (r < 0) {
        background_failed(fd_take(&ready), strerror(-r));
        _exit(EXIT_FAILURE);
    }
    *ret_ready = fd_take(&ready);
    return 0;
}

static void tell(int ready, const char *text, size_t len)
{
    (void)send(ready, text, len, MSG_NOSIGNAL); /* a waiter that has gone misses nothing */
    (void)close(ready);
}

void background_ready(int ready)
{
    char word = READY;
    tell(ready, &word, 1);
}

void background_failed(int ready, const char *why)
{
    tell(ready, why, strlen(why));
}
