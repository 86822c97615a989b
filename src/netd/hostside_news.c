/* SPDX-License-Identifier: Apache-2.0 */
/* hostside_news.c - what the kernel tells of the host's links, routes and rules; what is not heard
 * in time counts as news, too. */
#include "hostside_part.h"

#include "fd.h"

#include <errno.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#define NEWS_MAX 32768

int host_news_open(int protocol, const int *groups, size_t n)
{
    const struct sockaddr_nl here = { .nl_family = AF_NETLINK };
    AUTO_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&here, sizeof here) < 0)
        return -errno;
    for (size_t i = 0; i < n; i++)
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) < 0)
            return -errno;
    return fd_take(&fd);
}

bool host_news_read(int fd, const struct host *host, host_news_concerns concerns)
{
    _Alignas(struct nlmsghdr) char buf[NEWS_MAX];
    bool any = false;
    ssize_t got;

    while ((got = recv(fd, buf, sizeof buf, MSG_DONTWAIT)) > 0 || (got < 0 && errno == ENOBUFS)) {
        int left = (int)got;

        any |= got < 0;
        for (struct nlmsghdr *h = (struct nlmsghdr *)buf; got > 0 && nlmsg_ok(h, left);
             h = nlmsg_next(h, &left))
            any |= concerns(host, h);
    }
    return any;
}
