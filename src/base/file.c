/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"
#include "fd.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode)
{
    char temporary[NAME_MAX + 1];
    int r = str_format(temporary, sizeof temporary, ".%s.new", name);
    if (r < 0)
        return r;

    AUTO_FD fd =
        openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    r = write_all(fd, data, len);
    if (r == 0 && renameat(dirfd, temporary, dirfd, name) < 0)
        r = -errno;
    if (r < 0)
        (void)unlinkat(dirfd, temporary, 0);
    return r;
}

int file_read(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len)
{
    AUTO_FD fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if ((size_t)st.st_size > max)
        return -EFBIG;

    AUTO_FREE char *text = malloc(max + 1);
    if (!text)
        return -ENOMEM;
    size_t len = 0;
    for (;;) { /* not st_size: the file may grow while we read */
        ssize_t n = read(fd, text + len, max + 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
        if (len > max)
            return -EFBIG;
    }
    text[len] = '\0';
    *ret = take_ptr(&text);
    if (ret_len)
        *ret_len = len;
    return 0;
}

static int make_dir(const char *path)
{
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_parents(const char *path)
{
    char part[PATH_MAX];
    int r = str_copy(part, sizeof part, path);
    if (r < 0)
        return r;
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        r = make_dir(part);
        if (r < 0)
            return r;
        *slash = '/';
    }
    return 0;
}

int dir_open_private(const char *path)
{
    int r = make_dir(path);
    if (r == -ENOENT) {
        r = make_parents(path);
        if (r == 0)
            r = make_dir(path);
    }
    if (r < 0)
        return r;

    AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid != geteuid() || (st.st_mode & 022))
        return -EPERM;
    return fd_take(&fd);
}
