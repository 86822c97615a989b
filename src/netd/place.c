/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - see place.h. */
#include "place.h"

#include "fd.h"
#include "file.h"
#include "mem.h"
#include "str.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>

#define LOCK_TRIES 200 /* of 25 ms: as long as a netd takes to leave */

static int choose_paths(const struct options *options, struct paths *ret)
{
    int r = 0;

    if (options->system)
        paths_system_netd(ret);
    else
        r = paths_user(ret);
    if (options->runtime_dir) {
        r = str_copy(ret->runtime, sizeof ret->runtime, options->runtime_dir);
        (void)str_copy(ret->netd, sizeof ret->netd, options->runtime_dir);
    }
    if (r == -ENOENT && options->state_dir)
        r = 0;
    if (r >= 0 && options->state_dir)
        r = str_copy(ret->state, sizeof ret->state, options->state_dir);
    return r;
}

int place_choose(struct place *place, const struct options *options, struct netd_why *why)
{
    int r = choose_paths(options, &place->paths);

    place->system = options->system;
    if (r == 0 && (place->paths.runtime[0] != '/' || place->paths.state[0] != '/'))
        return why_refused(why, -EINVAL, "--state-dir and --runtime-dir must begin with '/'");
    if (r == 0)
        r = paths_netd_socket(&place->paths, place->socket_path, sizeof place->socket_path);
    return r < 0 ? why_failed(why, r, "cannot tell where socket and state belong") : 0;
}

/* The path becomes part of dnsmasq's configuration, whose syntax has no way to write
 * these. */
static int check_path(const char *path)
{
    for (const char *c = path; *c; c++)
        if (*c < ' ' || strchr("\"\\#,", *c))
            return -EINVAL;
    return 0;
}

static int not_opened(const struct place *place, const char *path, int r, struct netd_why *why)
{
    if (r != -EPERM)
        return why_failed(why, r, "%.100s", path);
    return why_refused(why, r, "%.100s must belong to user %u, and nobody else may write to it%s",
                       path, (unsigned)geteuid(),
                       place->system ? "; systemd-tmpfiles --create vmnet-broker.conf makes it"
                                     : "");
}

int place_open(struct place *place, struct netd_why *why)
{
    AUTO_FD runtime = dir_open_private(place->paths.runtime);
    AUTO_FREE char *real = NULL;
    int r;

    if (runtime < 0)
        return not_opened(place, place->paths.runtime, runtime, why);
    place->state_dirfd = dir_open_private(place->paths.state);
    if (place->state_dirfd < 0)
        return not_opened(place, place->paths.state, place->state_dirfd, why);
    real = realpath(place->paths.state, NULL);
    r = !real ? -errno : check_path(real);
    if (r == 0)
        r = str_format(place->dir_path, sizeof place->dir_path, "%s/netd", real);
    if (r == 0)
        r = place->dirfd = dir_open_private(place->dir_path);
    return r < 0 ? why_failed(why, r, "%.100s/netd", place->paths.state) : 0;
}

int place_open_log(const struct place *place)
{
    return openat(place->state_dirfd, "netd.log",
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Is somebody there who answers? */
static bool served_already(const struct place *place)
{
    struct sockaddr_un there = { .sun_family = AF_UNIX };
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd >= 0 && str_copy(there.sun_path, sizeof there.sun_path, place->socket_path) == 0 &&
           connect(fd, (struct sockaddr *)&there, sizeof there) == 0;
}

/* For who wants its place. Not being able to write it is no reason not to run. */
static void write_pid(int lock)
{
    char text[16] = "";

    (void)str_format(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(lock, 0) == 0)
        (void)!pwrite(lock, text, strlen(text), 0);
}

/* Nobody can find it any more. Only a process of our own user can have written the number. */
static void ask_to_leave(int lock)
{
    char text[16] = "";
    unsigned long pid;

    (void)!pread(lock, text, sizeof text - 1, 0);
    text[strcspn(text, "\n")] = '\0';
    if (str_to_uint(text, 2, INT32_MAX, &pid) == 0)
        (void)kill((pid_t)pid, SIGTERM);
}

static bool has_lock(struct place *place)
{
    if (flock(place->lock, LOCK_EX | LOCK_NB) < 0)
        return false;
    write_pid(place->lock);
    return true;
}

/* While another one is leaving it has the lock and no socket, hence the patience. */
int place_lock(struct place *place, bool passed, struct netd_why *why)
{
    place->lock =
        openat(place->dirfd, "netd.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (place->lock < 0)
        return why_failed(why, -errno, "%.100s/netd.lock", place->dir_path);
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (has_lock(place))
            return 0;
        if (!passed && served_already(place))
            return 1;
        if (passed && i == 0)
            ask_to_leave(place->lock);
        (void)usleep(25000);
    }
    return why_refused(why, -EBUSY, "another vmnet-netd has %.100s/netd.lock and does not answer",
                       place->dir_path);
}

void place_close(struct place *place)
{
    fd_closep(&place->dirfd);
    fd_closep(&place->state_dirfd);
    fd_closep(&place->lock);
}
