/* SPDX-License-Identifier: Apache-2.0 */
/* workshop.h - what the rooms behind spawner.h know of each other:
 *
 *   spawner.c    netd's side: forks the spawner, orders children, holds their pidfds
 *   workshop.c   the spawner process: takes orders, forks
 *   child.c      a child: becomes the program that it should
 *   host_port.c  a port of the host
 *
 * One fixed struct in, one out, with a pidfd and a leash. The spawner lives in the host's
 * namespaces with the rights of whoever started netd, and ends when netd's end of the socket
 * closes. Its children go on: the next netd adopts them.
 *
 * A child is on a leash until netd has written it down: it gets ready, waits for a word on a
 * socket of which netd has the other end, and ends with that. On the same socket it says why it
 * could not become what it should.
 *
 * It also looks for holders of TAPs (holders.h) and for orphans (orphans.h), which are not to
 * be seen from inside.
 *
 * It looks who has connected to netd's socket: to a process in the namespace all other users are
 * "nobody".
 *
 * The spawner also makes netd's socket anew when its directory has vanished, and removes it in
 * the end: netd itself writes to no directory but its own.
 */
#pragma once
#include "confine.h"
#include "net_def.h"
#include "spawner.h"

#include <stdint.h>
#include <sys/types.h>

/* Beside a child, of enum child_kind, this can be ordered. */
enum {
    ORDER_LISTEN = 100,
    ORDER_UNLISTEN,
    ORDER_PORT,
    ORDER_FIND_HOLDER,
    ORDER_SWEEP_ORPHANS,
    ORDER_ADMIT,
    ORDER_UNNAME
};

struct order {
    uint32_t kind;
    uint32_t network;
    uint32_t n_fds;
    char interface[INTERFACE_NAME_SIZE];
    struct host_port port; /* for ORDER_PORT */
    uint64_t taps;         /* whose holder is to be found */
};

struct answer {
    int32_t err;
    int32_t pid;
    uint64_t born;
};

/* The answer's descriptors: of a child, or the one socket. */
enum { RESULT_PIDFD, RESULT_LEASH, RESULTS };

/* What the spawner process knows. */
struct workshop {
    int sock;
    pid_t anchor;      /* engines find the namespaces by /proc/PID/ns ... */
    int userns, netns; /* ... and our own forks by these, whoever lives */
    struct spawner_setup setup;
    uint64_t born;                 /* netd */
    struct confine_filter dnsmasq; /* made when the spawner starts */
};

/* The rest of the spawner's life. */
_Noreturn void workshop_main(struct workshop *shop);
/* The rest of a child's, or its life until exec(). fds: what was passed for it. */
_Noreturn void child_main(const struct workshop *shop, const struct order *order, const int *fds,
                          int leash);
/* A socket that listens there, or a negative errno. */
int host_port_open(const struct host_port *port);
