/* SPDX-License-Identifier: Apache-2.0 */
#include "instance.h"
#include "fd.h"
#include "file.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define LOG_NAME  "broker.log"
#define LOG_ASIDE "broker.log.old"
#define LOG_MAX   (1 << 20) /* bytes, checked at each start */

/* The directory of a path with a file name. */
static int parent(const char *path, char *ret, size_t size)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path || slash[1] == '\0')
        return -EINVAL;
    return str_format(ret, size, "%.*s", (int)(slash - path), path);
}

int instance_paths(const struct options *options, struct paths *ret, struct failure *failure)
{
    struct paths paths = { "", "", "" };
    int r = 0;

    if (options->system)
        paths_system(&paths);
    else
        r = paths_user(&paths);
    if (r == -ENOENT && options->state_dir)
        r = 0;
    if (r < 0)
        return failure_set(failure, r, "%s",
                           r == -ENOENT ? "neither XDG_STATE_HOME nor HOME is set: use --state-dir"
                                        : "XDG_RUNTIME_DIR is too long for a socket");
    if (options->socket)
        r = parent(options->socket, paths.runtime, sizeof paths.runtime);
    if (r == 0 && options->socket && !options->system)
        (void)str_copy(paths.netd, sizeof paths.netd, paths.runtime);
    if (r == 0 && options->state_dir)
        r = str_copy(paths.state, sizeof paths.state, options->state_dir);
    if (r < 0)
        return failure_set(failure, r, "--socket or --state-dir cannot be used: %s", strerror(-r));
    *ret = paths;
    return 0;
}

int instance_socket(const struct options *options, const struct paths *paths, char *ret,
                    unsigned long size, struct failure *failure)
{
    int r =
        options->socket ? str_copy(ret, size, options->socket) : paths_own_socket(paths, ret, size);
    return r < 0 ? failure_set(failure, r, "the socket's path is too long") : 0;
}

int instance_open_state(const struct paths *paths, struct failure *failure)
{
    int fd = dir_open_private(paths->state);
    if (fd < 0)
        (void)failure_set(failure, fd, "cannot use state directory %.100s: %s", paths->state,
                          fd == -EPERM ? "it must be ours and nobody else may write to it"
                                       : strerror(-fd));
    return fd;
}

static int read_pid(int fd)
{
    char text[16] = "";
    unsigned long pid = 0;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return str_to_uint(text, 1, INT32_MAX, &pid) == 0 ? (int)pid : 0;
}

/* For whoever finds the lock taken. Not being able to write it is no reason not to run. */
static void write_pid(int fd)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    ssize_t n = ftruncate(fd, 0) == 0 ? pwrite(fd, text, (size_t)len, 0) : 0;
    (void)n;
}

int instance_lock(int state_dirfd, const char *name, unsigned wait_msec, int *holder)
{
    AUTO_FD fd = openat(state_dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += 10) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (waited >= wait_msec) {
            *holder = read_pid(fd);
            return -EWOULDBLOCK;
        }
        (void)nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000 * 1000 }, NULL);
    }
    write_pid(fd);
    return fd_take(&fd);
}

int instance_open_log(int state_dirfd)
{
    struct stat st;
    if (fstatat(state_dirfd, LOG_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > LOG_MAX)
        (void)renameat(state_dirfd, LOG_NAME, state_dirfd, LOG_ASIDE);
    int fd =
        openat(state_dirfd, LOG_NAME, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}
