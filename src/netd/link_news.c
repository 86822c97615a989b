/* SPDX-License-Identifier: Apache-2.0 */
/* link_news.c - links that go, as the kernel tells of them; see link.h. */
#include "link.h"

#include "fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#define BACKLOG_MAX 4096 /* messages; the socket's buffer has room for a tenth */

/* One TAP's coming is told in fifteen messages, each of which would wake us, and many of
 * which would push the few that matter out of the buffer. A port that leaves its bridge
 * is told as AF_BRIDGE; the link itself lives on. */
static int hear_of_ends_only(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELLINK), 0,
                 3), /* it loads as the net does */
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NLMSG_HDRLEN + offsetof(struct ifinfomsg, ifi_family)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNSPEC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = { .len = sizeof code / sizeof *code, .filter = code };

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

int link_monitor_open(void)
{
    const struct sockaddr_nl here = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
    AUTO_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    int r;

    if (fd < 0)
        return -errno;
    r = hear_of_ends_only(fd);
    if (r < 0)
        return r;
    return bind(fd, (const struct sockaddr *)&here, sizeof here) < 0 ? -errno : fd_take(&fd);
}

/* 1: there was one. 0: there is none. */
static int read_one(int fd, void (*gone)(void *arg, int ifindex), void *arg)
{
    _Alignas(struct nlmsghdr) char buf[LINK_MESSAGE_MAX];
    ssize_t got = recv(fd, buf, sizeof buf, 0);
    int left = (int)got;

    if (got < 0)
        return errno == EAGAIN ? 0 : -errno;
    for (struct nlmsghdr *h = (struct nlmsghdr *)buf; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
        const struct ifinfomsg *info = nlmsg_data(h);

        if (h->nlmsg_type == RTM_DELLINK && info->ifi_family == AF_UNSPEC)
            gone(arg, info->ifi_index);
    }
    return 1;
}

/* After a loss (-ENOBUFS) the kernel goes on throwing messages away until the socket was
 * read to its end, and does not say so again. Who looks for what was missed has to do
 * that first, or misses what goes meanwhile, for ever. */
int link_monitor_read(int fd, void (*gone)(void *arg, int ifindex), void *arg)
{
    int r = read_one(fd, gone, arg);
    bool lost = r < 0;

    for (unsigned i = 0; lost && r != 0 && i < BACKLOG_MAX; i++)
        r = read_one(fd, gone, arg);
    return lost ? -ENOBUFS : 0;
}
