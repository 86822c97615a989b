/* SPDX-License-Identifier: Apache-2.0 */
/* fault_system.c - system calls that may fail, each in a way that it may fail in life. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

FAULT_WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE, -1)
FAULT_WRAP(int, accept4, (int fd, struct sockaddr *addr, socklen_t *len, int flags),
           (fd, addr, len, flags), EMFILE, -1)
FAULT_WRAP(int, bind, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len),
           EADDRINUSE, -1)
FAULT_WRAP(int, listen, (int fd, int backlog), (fd, backlog), EADDRINUSE, -1)
FAULT_WRAP(int, connect, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len),
           ECONNREFUSED, -1)
FAULT_WRAP(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
           (fd, level, name, value, len), ENOBUFS, -1)
FAULT_WRAP(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
           (fd, level, name, value, len), ENOBUFS, -1)
FAULT_WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags),
           ENOBUFS, -1)
FAULT_WRAP(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags), ENOMEM, -1)
FAULT_WRAP(ssize_t, send, (int fd, const void *data, size_t len, int flags), (fd, data, len, flags),
           ENOBUFS, -1)
FAULT_WRAP(ssize_t, recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags),
           ENOMEM, -1)
FAULT_WRAP(ssize_t, read, (int fd, void *data, size_t len), (fd, data, len), EIO, -1)
FAULT_WRAP(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len), ENOSPC, -1)
FAULT_WRAP(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), ENOSPC, -1)
FAULT_WRAP(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), EIO, -1)
FAULT_WRAP(int, renameat, (int from, const char *old, int to, const char *new),
           (from, old, to, new), ENOSPC, -1)
FAULT_WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), EMFILE, -1)
FAULT_WRAP(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags), EMFILE, -1)
FAULT_WRAP(int, fstat64, (int fd, struct stat64 *st), (fd, st), EIO, -1)

/* With one more argument than some callers give, which does no harm. */
#define FAULT_WRAP_OPEN(name, params, args)                                                        \
    int __real_##name params;                                                                      \
    int __wrap_##name params;                                                                      \
    int __wrap_##name params                                                                       \
    {                                                                                              \
        unsigned long more;                                                                        \
        va_list ap;                                                                                \
        va_start(ap, last);                                                                        \
        more = va_arg(ap, unsigned long);                                                          \
        va_end(ap);                                                                                \
        return fault_now(#name, EMFILE) ? -1 : __real_##name args;                                 \
    }

FAULT_WRAP_OPEN(open64, (const char *path, int last, ...), (path, last, more))
FAULT_WRAP_OPEN(openat64, (int fd, const char *path, int last, ...), (fd, path, last, more))
FAULT_WRAP_OPEN(fcntl64, (int fd, int last, ...), (fd, last, more))
FAULT_WRAP_OPEN(ioctl, (int fd, unsigned long last, ...), (fd, last, more))
