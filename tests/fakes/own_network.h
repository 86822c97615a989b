/* SPDX-License-Identifier: Apache-2.0 */
/* own_network.h - a network namespace of a test's own, with nothing but a loopback in it: ports
 * that nobody else on this machine takes or has, and rules that are nobody else's. */
#pragma once
#include "fd.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>

static inline int own_network_write(const char *path, const char *text)
{
    AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && dprintf(fd, "%s", text) > 0 ? 0 : -1;
}

/* Who is not root becomes it in a user namespace first, and remains who it is. */
static inline int own_network_unshare(void)
{
    const unsigned uid = geteuid(), gid = getegid();
    char users[32], groups[32];

    if (uid == 0)
        return unshare(CLONE_NEWNET);
    (void)snprintf(users, sizeof users, "%u %u 1", uid, uid);
    (void)snprintf(groups, sizeof groups, "%u %u 1", gid, gid);
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ||
        own_network_write("/proc/self/setgroups", "deny") < 0 ||
        own_network_write("/proc/self/uid_map", users) < 0)
        return -1;
    return own_network_write("/proc/self/gid_map", groups);
}

/* For cmocka's setup of a group. */
static inline int own_network(void **unused)
{
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    AUTO_FD fd = -1;

    (void)unused;
    if (own_network_unshare() < 0)
        return -1;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0 ? -1 : 0;
}
