/* SPDX-License-Identifier: Apache-2.0 */
/* forwarder_part.h - what the rooms of the forwarder share.
 *
 *   forwarder.c        the process: its orders, its entrances, its clock
 *   forwarder_dial.c   a socket towards the VM that is, where it can be, the client
 *   forwarder_tcp.c    connections, spliced
 *   forwarder_pipe.c   the pipes for that
 *   forwarder_udp.c    datagrams, by flows
 */
#pragma once
#include "forwarder.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#define FORWARDER_SEC   UINT64_C(1000000)
#define FORWARDER_BATCH 64 /* of anything in one go, so that nobody has us for himself */

/* How much there may be, by what the limit of descriptors allows: each flow of TCP may come to
 * six, two sockets and two pipes; one of UDP has one. No entrance gets more than its share, so
 * that a flood at one door leaves the others open. vmnet-broker(8) has these numbers. */
#define TCP_FLOWS_MAX   4096u
#define UDP_FLOWS_MAX   1024u
#define ENTRANCE_SHARE  4u /* a quarter of either */
#define TCP_FLOW_FDS    6u
#define FORWARDER_FILES (64u + 2 * 1024 + UDP_FLOWS_MAX + TCP_FLOWS_MAX * TCP_FLOW_FDS)

struct entrance;
struct forwarder;

/* A socket of the host. */
struct listener {
    struct entrance *entrance;
    int fd; /* -1: none */
    sd_event_source *io;
};

/* A port of the host that leads to a VM. */
struct entrance {
    TAILQ_ENTRY(entrance) link;
    struct forwarder *forwarder;
    struct forwarder_order order;
    struct listener listeners[2];
    unsigned flows;
    bool full;           /* its listeners wait until a flow ends */
    uint64_t complained; /* when that was said */
};

struct forwarder {
    sd_event *event;
    sd_event_source *tick; /* on while there is anything that time ends */
    int netd;              /* -1: it is dead */
    sd_event_source *netd_io;
    TAILQ_HEAD(, entrance) entrances;
    unsigned files_max, files; /* descriptors that entrances and flows may come to, and do */
    struct tcp *tcp;
    struct udp *udp;
};

/* Somebody waits for something: the clock must go on. */
void forwarder_keep_ticking(struct forwarder *fw);
/* Room for one more flow with so many descriptors? Then they are taken. */
bool entrance_admit(struct entrance *e, unsigned files, unsigned flows_max);
/* A flow has ended: gives them back, and opens doors that waited. */
void entrance_leave(struct entrance *e, unsigned files);

/* ---- forwarder_dial.c ------------------------------------------------------------- */

/* Can this client keep its address on the way to that VM? */
bool dial_keeps(const struct forwarder_order *order, const struct sockaddr_storage *client);
/* A socket of the kind (SOCK_STREAM, SOCK_DGRAM) that is connected to the VM or about to be.
 * A descriptor or a negative errno. */
int dial(const struct forwarder_order *order, int kind, const struct sockaddr_storage *client);

/* ---- forwarder_pipe.c ------------------------------------------------------------- */

/* An empty pipe, between two splices; NULL: none can be had. */
struct pipe {
    struct pipe *next;
    int in, out; /* where bytes go in, and where they come out */
    size_t size;
};

struct pipe *pipe_take(void);
void pipe_give(struct pipe *pipe, bool empty); /* NULL is fine */

/* ---- forwarder_tcp.c, forwarder_udp.c ----------------------------------------------- */

int tcp_new(struct forwarder *fw);
int tcp_listen(struct listener *listener); /* takes up what is on its socket */
void tcp_cut(struct entrance *e);          /* ends all that came through it */
bool tcp_tick(struct tcp *tcp, uint64_t now);

int udp_new(struct forwarder *fw);
int udp_listen(struct listener *listener);
void udp_cut(struct entrance *e);
bool udp_tick(struct udp *udp, uint64_t now);
