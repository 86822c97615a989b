/* SPDX-License-Identifier: Apache-2.0 */
/* netd_socket.c - one message of netd_msg.h, one packet, with its descriptors. */
#include "netd_msg.h"

#include "fd.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

/* Room for what a well-behaved partner can send. The kernel itself closes what a
 * misbehaving one sends beyond it, and says MSG_CTRUNC. */
#define FDS_MAX NETD_QUEUES_MAX

union control {
    char buf[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    struct cmsghdr align;
};

int netd_msg_send(int sock, const struct netd_msg *msg, size_t body_len, const int *fds,
                  size_t n_fds)
{
    union control control = { { 0 } };
    struct iovec iov = { (void *)(uintptr_t)msg, sizeof msg->header + body_len };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (body_len > sizeof msg->body || n_fds > FDS_MAX)
        return -EINVAL;
    if (n_fds > 0) {
        hdr.msg_control = control.buf;
        hdr.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
    }
    ssize_t n;
    do
        n = sendmsg(sock, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* The descriptors that came with a packet, at most FDS_MAX of them. */
static size_t collect_fds(struct msghdr *hdr, int got[static FDS_MAX])
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count && n < FDS_MAX; i++)
            memcpy(&got[n++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    return n;
}

int netd_msg_recv(int sock, struct netd_msg *msg, size_t *len, int *fds, size_t *n_fds)
{
    union control control;
    struct iovec iov = { msg, sizeof *msg };
    struct msghdr hdr = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.buf,
                          .msg_controllen = sizeof control.buf };
    ssize_t n;

    memset(msg, 0, sizeof *msg);
    do
        n = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;

    int got[FDS_MAX];
    size_t n_got = collect_fds(&hdr, got);
    bool refused = (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n_got > *n_fds;
    if (refused || (n == 0 && n_got > 0)) { /* an empty packet looks like a closed socket */
        for (size_t i = 0; i < n_got; i++)
            fd_closep(&got[i]);
        return -EPROTO;
    }
    if (n_got > 0)
        memcpy(fds, got, sizeof *got * n_got);
    *n_fds = n_got;
    *len = (size_t)n;
    return 0;
}
