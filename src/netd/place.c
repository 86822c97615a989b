/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - see place.h. */
#include "place.h"

#include "fd.h"
#include "file.h"
#include "mem.h"
#include "str.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>

#define LOCK_TRIES 200 /* of 25 ms: as long as a netd takes to leave */

int place_choose(struct place *place, const char *state_dir, const char *runtime_dir,
                 struct netd_why *why)
{
    int r = paths_user(&place->paths);

    if (runtime_dir)
        r = str_copy(place->paths.runtime, sizeof place->paths.runtime, runtime_dir);
    if (r >= 0 && state_dir)
        r = str_copy(place->paths.state, sizeof place->paths.state, state_dir);
    if (r == -ENOENT && state_dir)
        r = 0;
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

int place_open(struct place *place, struct netd_why *why)
{
    AUTO_FD runtime = dir_open_private(place->paths.runtime);
    AUTO_FREE char *real = NULL;
    int r;

    if (runtime < 0)
        return why_failed(why, runtime, "%.100s", place->paths.runtime);
    place->state_dirfd = dir_open_private(place->paths.state);
    if (place->state_dirfd < 0)
        return why_failed(why, place->state_dirfd, "%.100s", place->paths.state);
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

/* While another one is leaving it has the lock and no socket, hence the patience. */
int place_lock(struct place *place, struct netd_why *why)
{
    place->lock =
        openat(place->dirfd, "netd.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (place->lock < 0)
        return why_failed(why, -errno, "%.100s/netd.lock", place->dir_path);
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(place->lock, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (served_already(place))
            return 1;
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
