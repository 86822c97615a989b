/* SPDX-License-Identifier: Apache-2.0 */
/* knobs.c - see knobs.h. */
#include "knobs.h"

#include "fd.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int sysctl_set(const char *knob, const char *value)
{
    char path[128];
    AUTO_FD fd = -1;
    int r;

    r = str_format(path, sizeof path, "/proc/sys/net/%s", knob);
    if (r < 0)
        return r;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

int knobs_set(const struct knob *knobs, size_t n, const char *link, struct netd_why *why)
{
    char path[96];

    for (size_t i = 0; i < n; i++) {
        int r = str_format(path, sizeof path, "%s%s%s", knobs[i].before, link, knobs[i].after);

        if (r == 0)
            r = sysctl_set(path, knobs[i].value);
        if (r < 0 && r != -ENOENT)
            return why_failed(why, r, "cannot set %s", path);
    }
    return 0;
}
