/* SPDX-License-Identifier: Apache-2.0 */
/* holders.c - see holders.h. Some 10 µs a process, and 2 a descriptor. */
#include "holders.h"

#include "fd.h"
#include "names.h"
#include "str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define TUN_MAJOR 10
#define TUN_MINOR 200 /* of the device /dev/net/tun, whatever its file is called */

/* "iff:\tvt0.1" is one of the lines. */
static bool names_tap(int pidfd, const char *fd_name, uint32_t index, uint64_t taps)
{
    char path[64], text[512];
    const char *line;
    unsigned named, k;
    ssize_t n;

    if (str_format(path, sizeof path, "fdinfo/%s", fd_name) < 0)
        return false;
    AUTO_FD fd = openat(pidfd, path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    line = strstr(text, "iff:\t");
    return line && sscanf(line, "iff:\tvt%u.%u", &named, &k) == 2 && named == index &&
           (tap_bit(k) & taps);
}

static bool is_tun(int pidfd, const char *fd_name)
{
    char path[64];
    struct stat st;

    return str_format(path, sizeof path, "fd/%s", fd_name) == 0 &&
           fstatat(pidfd, path, &st, 0) == 0 && S_ISCHR(st.st_mode) &&
           st.st_rdev == makedev(TUN_MAJOR, TUN_MINOR);
}

static DIR *open_directory(int parent, const char *name)
{
    AUTO_FD fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir)
        (void)fd_take(&fd);
    return dir;
}

static bool holds(int proc, const char *pid_name, uint32_t index, uint64_t taps)
{
    AUTO_FD pidfd = openat(proc, pid_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *fds = pidfd < 0 ? NULL : open_directory(pidfd, "fd");
    bool found = false;

    for (struct dirent *e; !found && fds && (e = readdir(fds));)
        found = is_tun(pidfd, e->d_name) && names_tap(pidfd, e->d_name, index, taps);
    if (fds)
        (void)closedir(fds);
    return found;
}

static bool is_ours(int proc, const char *pid_name)
{
    struct stat st;

    return fstatat(proc, pid_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == geteuid();
}

pid_t holders_find(uint32_t index, uint64_t taps)
{
    DIR *proc = open_directory(AT_FDCWD, "/proc");
    unsigned long pid, found = 0;

    for (struct dirent *e; !found && proc && (e = readdir(proc));)
        if (str_to_uint(e->d_name, 1, INT32_MAX, &pid) == 0 && is_ours(dirfd(proc), e->d_name) &&
            holds(dirfd(proc), e->d_name, index, taps))
            found = pid;
    if (proc)
        (void)closedir(proc);
    return (pid_t)found;
}
