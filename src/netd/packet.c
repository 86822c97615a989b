/* SPDX-License-Identifier: Apache-2.0 */
/* packet.c - see packet.h. */
#include "packet.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define PATIENCE_SEC 5 /* an answer takes a millisecond, on a busy machine perhaps a second */

union control {
    char space[CMSG_SPACE(sizeof(int) * PACKET_FDS)];
    struct cmsghdr align;
};

static bool passes(int err, unsigned *tries)
{
    if (err == EINTR)
        return true;
    if ((err != ENOMEM && err != ENOBUFS) || ++*tries > 100)
        return false;
    (void)poll(NULL, 0, 10);
    return true;
}

int packet_set_patience(int sock)
{
    const struct timeval patience = { .tv_sec = PATIENCE_SEC };

    return setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ? -errno : 0;
}

int packet_send(int sock, void *data, size_t len, const int *fds, size_t n_fds)
{
    struct iovec part = { .iov_base = data, .iov_len = len };
    struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
    union control control = { 0 };
    unsigned tries = 0;
    ssize_t sent;

    if (n_fds > 0) {
        struct cmsghdr *c;

        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    do
        sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (sent < 0 && passes(errno, &tries));
    return sent == (ssize_t)len ? 0 : -errno;
}

int packet_receive(int sock, void *data, size_t len, int *fds, size_t *ret_n)
{
    struct iovec part = { .iov_base = data, .iov_len = len };
    union control control = { 0 };
    struct msghdr msg = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    struct cmsghdr *c;
    unsigned tries = 0;
    ssize_t got;

    do
        got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (got < 0 && passes(errno, &tries));
    if (got < 0)
        return -errno;
    c = CMSG_FIRSTHDR(&msg);
    *ret_n = 0;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        *ret_n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), sizeof(int) * *ret_n);
    }
    return got == 0 ? -EPIPE : (size_t)got == len ? 0 : -EPROTO;
}
