/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"
#include "fd.h"
#include "file.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int fill_address(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    return str_copy(address->sun_path, sizeof address->sun_path, path);
}

bool socket_answers(const char *path)
{
    struct sockaddr_un address;
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || fill_address(&address, path) < 0)
        return false;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return true;
    return errno == EAGAIN; /* alive, with a full queue */
}

/* Opens the directory that the socket is to be in; *name: within path. */
static int open_directory(const char *path, bool shared, const char **name)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int r = str_format(directory, sizeof directory, "%.*s", (int)(slash - path), path);
    if (r < 0)
        return r;
    *name = slash + 1;
    AUTO_FD fd = dir_open_private(directory);
    if (fd >= 0 && shared && fchmod(fd, 0755) < 0)
        return -errno;
    return fd_take(&fd);
}

static int let_others_in(int dirfd, const char *name)
{
    const struct group *group = getgrnam("vmnet");
    if (group && fchownat(dirfd, name, (uid_t)-1, group->gr_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return fchmodat(dirfd, name, 0660, 0) < 0 ? -errno : 0;
}

/* The directory is named by its descriptor: whatever happens to the path meanwhile, the
 * socket lands where we looked. */
static int bind_in(int dirfd, const char *name, int fd)
{
    char path[64];
    struct sockaddr_un address;
    int r = str_format(path, sizeof path, "/proc/self/fd/%d/%s", dirfd, name);
    if (r == 0)
        r = fill_address(&address, path);
    if (r < 0)
        return r;
    (void)unlinkat(dirfd, name, 0); /* left by one that died just here */
    mode_t mask = umask(0177);
    r = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    (void)umask(mask);
    return r;
}

static int bind_and_rename(int dirfd, const char *name, bool shared, int fd, struct stat *st)
{
    static const char temporary[] = ".broker.sock.new";
    int r = bind_in(dirfd, temporary, fd);
    if (r == 0 && shared)
        r = let_others_in(dirfd, temporary);
    if (r == 0 && (listen(fd, SOMAXCONN) < 0 || renameat(dirfd, temporary, dirfd, name) < 0 ||
                   fstatat(dirfd, name, st, AT_SYMLINK_NOFOLLOW) < 0))
        r = -errno;
    if (r < 0)
        (void)unlinkat(dirfd, temporary, 0);
    return r;
}

static int cannot_listen(struct failure *failure, int err, const char *path, const char *why)
{
    return failure_set(failure, err, "cannot listen on %s: %s", path, why);
}

int socket_file_bind(const char *path, bool shared, struct socket_file *ret,
                     struct failure *failure)
{
    const char *name;
    struct stat st = { 0 };

    if (socket_answers(path))
        return cannot_listen(failure, -EADDRINUSE, path, "another broker answers there");
    AUTO_FD dirfd = open_directory(path, shared, &name);
    if (dirfd < 0)
        return cannot_listen(failure, dirfd, path,
                             dirfd == -EPERM
                                 ? "its directory must be ours and nobody else may write to it"
                                 : strerror(-dirfd));
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? -errno : bind_and_rename(dirfd, name, shared, fd, &st);
    if (r == 0)
        r = str_copy(ret->path, sizeof ret->path, path);
    if (r < 0)
        return cannot_listen(failure, r, path, strerror(-r));
    ret->device = st.st_dev;
    ret->inode = st.st_ino;
    return fd_take(&fd);
}

void socket_file_remove(struct socket_file *file)
{
    struct stat st;
    if (file->path[0] && lstat(file->path, &st) == 0 && st.st_dev == file->device &&
        st.st_ino == file->inode)
        (void)unlink(file->path);
    file->path[0] = '\0';
}
