/* SPDX-License-Identifier: Apache-2.0 */
/* forwards_part.h - what the rooms of the forwarded ports share.
 *
 *   forwards.c             its life, and which there are: asked for, ended, written down
 *   forwards_listen.c      the sockets of one: made, passed on, tried again
 *   forwards_forwarder.c   the process that gets them: there while it is needed, found again
 */
#pragma once
#include "forwarder_line.h"
#include "forwards.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct forward {
    TAILQ_ENTRY(forward) link;
    struct netd_forward spec; /* NETD_FORWARD_LIVE: the forwarder has it, or will */
    struct forward_place place;
    uint32_t number;
};

struct forwards {
    struct forwards_setup setup;
    TAILQ_HEAD(, forward) list;
    unsigned n;
    uint32_t last_number;
    bool transparent; /* clients' addresses are kept */
    struct forwarder_line *line;
    sd_event_source *again; /* on while there is somebody to listen for */
};

/* ---- forwards_listen.c ------------------------------------------------------------- */

/* The clock for those that have to wait; it is off. */
int forwards_listen_init(struct forwards *all);
/* Its sockets are made, and the forwarder has them. -ENOTCONN: it has just died, and the next
 * one will get them. */
int forward_listen(struct forwards *all, struct forward *f);
/* What kept us from listening, in words; returns err. */
int forward_refuse_port(const struct netd_forward *f, int err, struct netd_why *why);
/* For all that are not listened for, now and, where that fails, again and again ... */
void forwards_listen(struct forwards *all);
void forwards_listen_later(struct forwards *all);
/* ... until this. */
void forwards_listen_no_more(struct forwards *all);

/* ---- forwards_forwarder.c ---------------------------------------------------------- */

int forwards_forwarder_init(struct forwards *all);
/* Started, unless it runs. */
int forwards_want_forwarder(struct forwards *all);
/* Nothing is forwarded any more. */
void forwards_stop_forwarder(struct forwards *all);
/* It is dead, and with it every socket that it had. */
void forwards_forwarder_gone(struct forwards *all);
/* As forwarder_line_order(), about f. */
int forward_order(struct forwards *all, enum forwarder_op op, const struct forward *f, int *fds,
                  size_t n);
