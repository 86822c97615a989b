/* SPDX-License-Identifier: Apache-2.0 */
/* fd.h - descriptors that close themselves.
 *
 * A variable marked AUTO_FD owns its descriptor and closes it on every way out
 * of its scope. To hand ownership on, write fd_take(&fd): the variable becomes
 * -1, and whoever got the number must close it. "No descriptor" is always -1,
 * never 0.
 */
#pragma once
#include <errno.h>
#include <unistd.h>

static inline void fd_closep(int *fd)
{
    if (*fd >= 0) {
        int saved = errno; /* cleanup must not change the error story */
        (void)close(*fd);
        errno = saved;
        *fd = -1;
    }
}

static inline int fd_take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#define AUTO_FD __attribute__((cleanup(fd_closep))) int
