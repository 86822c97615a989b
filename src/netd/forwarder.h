/* SPDX-License-Identifier: Apache-2.0 */
/* forwarder.h - the process that carries what reaches a port of the host to a VM.
 *
 * It lives inside the namespace and listens on sockets that the spawner made outside and netd
 * passed on: of the host's network it has these and nothing else, and can make no other.
 * Towards a VM it makes its own, as the client: with the client's address where that can be.
 * It holds what that takes, CAP_NET_RAW over the namespace, and moves bytes that it does not
 * look at (docs/decisions/0004-port-forwarding.md).
 *
 * It outlives netd with all it carries. It listens on a socket in netd's directory, where the
 * next netd finds it, and says what it has.
 */
#pragma once
#include "confine.h"

#include <stdint.h>

#define FORWARDER_SOCKET "forwarder.sock" /* in netd's directory */

/* One SEQPACKET each; both ends are of one build and one machine. */
enum forwarder_op {
    FORWARDER_ADD = 1, /* to it, with one or two listening sockets */
    FORWARDER_REMOVE,  /* to it: close them, and cut what came through them */
    FORWARDER_HAS,     /* from it, to a netd that has just come; the last one is not full */
    FORWARDER_REMOVED, /* from it, with the number: nothing of that one is left */
};

/* A port of the host, and where it leads. */
struct forwarder_order {
    uint32_t op;
    uint32_t number;      /* netd's; all that FORWARDER_REMOVE looks at */
    uint32_t protocol;    /* IPPROTO_TCP or IPPROTO_UDP */
    uint32_t port;        /* of the VM */
    uint8_t target[16];   /* its address; IPv4 as ::ffff:192.0.2.1 */
    uint32_t prefix;      /* so many bits of it (of 128) are its link's */
    uint32_t transparent; /* 1: clients' addresses are kept */
};

#define FORWARDER_LIST 256

struct forwarder_list {
    uint32_t op, n;
    uint32_t numbers[FORWARDER_LIST];
};

/* The socket by which the next netd finds it, bound; and that netd's way to it. dirfd: netd's
 * directory. A descriptor, or a negative errno: -ECONNREFUSED, -ENOENT: nobody. */
int forwarder_bind(int dirfd);
int forwarder_connect(int dirfd);

/* The process itself; never returns. Takes over: the bound socket, and a connected one. */
_Noreturn void forwarder_main(int bound, int netd);

/* What it does besides being a C program with an event loop. */
extern const struct call_rule forwarder_calls[];
/* What it does from now on, and no more. 0 or a negative errno. */
int forwarder_confine(void);
