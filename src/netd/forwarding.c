/* SPDX-License-Identifier: Apache-2.0 */
/* forwarding.c - see forwarding.h.
 *
 * Through the files and not by rtnetlink, which knows the IPv4 switch as well: by the file the
 * kernel also tells everybody who listens, and switches off the joining of received packets
 * (LRO) in the link's hardware, which must not be where packets are forwarded. And the IPv6
 * switch is nowhere else.
 */
#include "forwarding.h"

#include "fd.h"
#include "knobs.h"
#include "link.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

static int knob_of(int family, const char *link, char *knob, size_t size)
{
    return family == AF_INET ? str_format(knob, size, "ipv4/conf/%s/forwarding", link)
                             : str_format(knob, size, "ipv6/conf/%s/force_forwarding", link);
}

/* 0 or 1, or a negative errno. */
static int read_knob(const char *knob)
{
    char path[96], value = '0';
    AUTO_FD fd = -1;
    int r = str_format(path, sizeof path, "/proc/sys/net/%s", knob);

    if (r < 0)
        return r;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (read(fd, &value, 1) < 0)
        return -errno;
    return value != '0';
}

/* No file: is it the link that is missing, or the switch? Each link has this one. */
static int no_file(const char *link)
{
    char knob[64];

    if (str_format(knob, sizeof knob, "ipv4/conf/%s/forwarding", link) < 0 || read_knob(knob) < 0)
        return -ENODEV;
    return -EOPNOTSUPP;
}

int forwarding_get(int family, const char *link)
{
    char knob[64];
    int r = knob_of(family, link, knob, sizeof knob);

    if (r == 0)
        r = read_knob(knob);
    return r == -ENOENT ? no_file(link) : r;
}

int forwarding_set(int family, const char *link, bool on)
{
    char knob[64];
    int r = knob_of(family, link, knob, sizeof knob);

    if (r == 0)
        r = sysctl_set(knob, on ? "1" : "0");
    return r == -ENOENT ? no_file(link) : r;
}

bool forwarding_everywhere(int family)
{
    return read_knob(family == AF_INET ? "ipv4/conf/all/forwarding" : "ipv6/conf/all/forwarding") ==
           1;
}
