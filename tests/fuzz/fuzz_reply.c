/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker may answer to the library: a whole stream of replies, each tried as a
 * network and as an interface. The first byte says how many descriptors come with it. A
 * caller must never get NULL for what is not optional, nor another's descriptor. */
#include "connection.h"
#include "fd.h"
#include "fuzz.h"
#include "objects.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define REPLY_MAX 65536

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);

/* /dev/null stands for a TAP, which not every machine that fuzzes has. (64: what fstat() is
 * called with large files.) */
int __wrap_fstat64(int fd, struct stat *st)
{
    int r = __real_fstat64(fd, st);

    if (r == 0 && st->st_rdev == makedev(1, 3))
        st->st_rdev = makedev(10, 200);
    return r;
}

static void send_all(int sock, const uint8_t *data, size_t len, size_t n_fds)
{
    int fds[4];
    union {
        char buf[CMSG_SPACE(sizeof fds)];
        struct cmsghdr align;
    } control = { { 0 } };
    struct iovec iov = { (void *)(uintptr_t)data, len };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    for (size_t i = 0; i < n_fds; i++)
        MUST((fds[i] = open(i < 3 ? "/dev/null" : "/dev/zero", O_RDWR | O_CLOEXEC)) >= 0);
    if (n_fds > 0) {
        hdr.msg_control = control.buf;
        hdr.msg_controllen = CMSG_SPACE(n_fds * sizeof *fds);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof *fds);
        memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof *fds);
    }
    MUST(sendmsg(sock, &hdr, MSG_NOSIGNAL) == (ssize_t)len);
    for (size_t i = 0; i < n_fds; i++)
        fd_closep(&fds[i]);
}

static void try_network(const struct reply *reply)
{
    vmnet_broker_network_ref net = NULL;

    if (network_from_reply(reply, &net) < 0)
        return;
    MUST(vmnet_broker_network_name(net) && vmnet_broker_network_id(net));
    MUST(vmnet_broker_network_mode(net) && vmnet_broker_network_uplink(net));
    MUST(vmnet_broker_network_mtu(net) > 0 && network_json(net));
    vmnet_broker_network_free(net);
}

static void try_interface(struct reply *reply, unsigned queues)
{
    const vmnet_broker_interface_options asked = { .queues = queues };
    vmnet_broker_interface_ref iface = NULL;

    if (interface_from_reply(reply, &asked, &iface) < 0)
        return;
    MUST(vmnet_broker_interface_id(iface) && vmnet_broker_interface_mac_address(iface));
    MUST(vmnet_broker_interface_queues(iface) == queues);
    for (unsigned i = 0; i < queues; i++) {
        AUTO_FD fd = vmnet_broker_interface_take_fd(iface, i);
        MUST(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    }
    MUST(vmnet_broker_interface_take_fd(iface, queues) < 0);
    vmnet_broker_interface_free(iface);
}

static void try_named(struct reply *reply)
{
    const vmnet_broker_interface_options asked = { .queues = 1, .by_name = 1 };
    vmnet_broker_interface_ref iface = NULL;

    if (interface_from_reply(reply, &asked, &iface) < 0)
        return;
    MUST(vmnet_broker_interface_tap(iface) && vmnet_broker_interface_queues(iface) == 0);
    MUST(vmnet_broker_interface_take_fd(iface, 0) < 0);
    vmnet_broker_interface_free(iface);
}

FUZZ(data, size)
{
    static const struct varlink_limits limits = { REPLY_MAX, REPLY_MAX, VARLINK_FDS_MAX };
    struct connection c = CONNECTION_INIT;
    int pair[2], r = 0;

    if (size < 2 || size > REPLY_MAX)
        return;
    unsigned fds = fuzz_open_fds();
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    c.fd = pair[1];
    c.stream = varlink_new(pair[1], &limits);
    MUST(c.stream);
    send_all(pair[0], data + 1, size - 1, data[0] % 5);
    fd_closep(&pair[0]);
    while (r == 0) {
        AUTO_REPLY reply = REPLY_INIT;
        r = connection_receive(&c, &reply);
        if (r < 0)
            break;
        MUST(json_is_object(reply.parameters) && reply_why(&reply));
        try_network(&reply);
        try_named(&reply);
        try_interface(&reply, 1 + data[0] % 4);
    }
    connection_close(&c);
    MUST(fuzz_open_fds() == fds);
}
