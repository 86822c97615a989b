/* SPDX-License-Identifier: Apache-2.0 */
/* fault_netlink.c - a kernel that has no room for a message or its answer, and nftables
 * that does not load a batch. Inside the two libraries nothing fails. */
#include "fault.h"

#include <errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <nftables/libnftables.h>

FAULT_WRAP(struct nl_sock *, nl_socket_alloc, (void), (), ENOMEM, NULL)
FAULT_WRAP(int, nl_connect, (struct nl_sock * sock, int protocol), (sock, protocol), EMFILE,
           -NLE_NOMEM)
FAULT_WRAP(struct nl_msg *, nlmsg_alloc_simple, (int type, int flags), (type, flags), ENOMEM, NULL)
FAULT_WRAP(int, nlmsg_append, (struct nl_msg * msg, void *data, size_t len, int pad),
           (msg, data, len, pad), ENOMEM, -NLE_NOMEM)
FAULT_WRAP(int, nla_put, (struct nl_msg * msg, int type, int len, const void *data),
           (msg, type, len, data), ENOMEM, -NLE_NOMEM)
FAULT_WRAP(int, nla_put_u8, (struct nl_msg * msg, int type, uint8_t value), (msg, type, value),
           ENOMEM, -NLE_NOMEM)
FAULT_WRAP(int, nla_put_u32, (struct nl_msg * msg, int type, uint32_t value), (msg, type, value),
           ENOMEM, -NLE_NOMEM)
FAULT_WRAP(int, nla_put_string, (struct nl_msg * msg, int type, const char *text),
           (msg, type, text), ENOMEM, -NLE_NOMEM)
FAULT_WRAP(struct nlattr *, nla_nest_start, (struct nl_msg * msg, int type), (msg, type), ENOMEM,
           NULL)
FAULT_WRAP(int, nl_send_auto, (struct nl_sock * sock, struct nl_msg *msg), (sock, msg), ENOBUFS,
           -NLE_NOMEM)
FAULT_WRAP(int, nl_sendto, (struct nl_sock * sock, void *data, size_t len), (sock, data, len),
           ENOBUFS, -NLE_NOMEM)
FAULT_WRAP(int, nl_recvmsgs_default, (struct nl_sock * sock), (sock), ENOMEM, -NLE_NOMEM)
FAULT_WRAP(int, nl_wait_for_ack, (struct nl_sock * sock), (sock), ENOMEM, -NLE_NOMEM)
FAULT_WRAP(int, nft_run_cmd_from_buffer, (struct nft_ctx * nft, const char *text), (nft, text),
           ENOBUFS, -1)

int __real_nl_send_sync(struct nl_sock *sock, struct nl_msg *msg);
int __wrap_nl_send_sync(struct nl_sock *sock, struct nl_msg *msg);

/* Fails in two ways: nothing was sent; or the kernel did it, and its word was lost. */
int __wrap_nl_send_sync(struct nl_sock *sock, struct nl_msg *msg)
{
    int r;

    if (fault_now("nl_send_sync, sending", ENOBUFS)) {
        nlmsg_free(msg);
        return -NLE_NOMEM;
    }
    if (!fault_now("nl_send_sync, receiving", ENOBUFS))
        return __real_nl_send_sync(sock, msg);
    r = nl_send_auto_complete(sock, msg);
    nlmsg_free(msg);
    return r < 0 ? r : -NLE_NOMEM;
}
