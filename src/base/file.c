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

/* From the start to the end, into memory that grows as the file does: st_size is only where
 * to begin, since a file may grow meanwhile, and those of /proc say 0. */
static int read_all(int fd, size_t size, size_t max, char **ret, size_t *ret_len)
{
    AUTO_FREE char *text = malloc(size);
    size_t len = 0;

    while (text) {
        ssize_t n = read(fd, text + len, size - 1 - len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
        if (len > max)
            return -EFBIG;
        if (len + 1 < size)
            continue;
        size *= 2;
        char *more = realloc(text, size);
        if (!more)
            return -ENOMEM;
        text = more;
    }
    if (!text)
        return -ENOMEM;
    text[len] = '\0';
    *ret = take_ptr(&text);
    *ret_len = len;
    return 0;
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
    size_t len;
    return read_all(fd, (size_t)st.st_size + 512, max, ret, ret_len ? ret_len : &len);
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
