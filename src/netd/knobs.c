/* SPDX-License-Identifier: Apache-2.0 */
/* knobs.c - see knobs.h. */
#include "knobs.h"

#include "fd.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static int sysctl_open(const char *knob, int flags)
{
    char path[128];
    int r = str_format(path, sizeof path, "/proc/sys/net/%s", knob);

    if (r < 0)
        return r;
    int fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int sysctl_set(const char *knob, const char *value)
{
    AUTO_FD fd = sysctl_open(knob, O_WRONLY);

    if (fd < 0)
        return fd;
    return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

int sysctl_number(const char *knob)
{
    char text[16] = "";
    AUTO_FD fd = sysctl_open(knob, O_RDONLY);

    return fd < 0 || read(fd, text, sizeof text - 1) < 0 ? 0 : (int)strtol(text, NULL, 10);
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
