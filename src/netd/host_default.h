/* SPDX-License-Identifier: Apache-2.0 */
/* host_default.h - does the host have a default route, and did that change?
 *
 * Or, of one of its interfaces: does any route of it lead there?
 *
 * An rtnetlink socket stays in the namespace where it was opened. So netd opens one
 * in the host's before it enters its own, and goes on asking and listening from
 * inside. Nothing here blocks: a question is answered by later reads.
 */
#pragma once
#include "net_def.h"

#include <stdbool.h>
#include <stdint.h>

struct host_default {
    bool ipv4, ipv6;                     /* the last complete answer */
    char interface[INTERFACE_NAME_SIZE]; /* "": any, and a default route it must be */
    /* private */
    int sock;
    uint32_t port, seq;
    int ifindex; /* the interface's, when we asked; 0: it is not there */
    bool asking, found4, found6;
};

/* In the host's namespace. Returns the socket or a negative errno. */
int host_default_open(void);

/* Takes the socket over, on success only. */
int host_default_init(struct host_default *hd, int sock);
void host_default_close(struct host_default *hd);

/* Counts from the next answer on. */
void host_default_set_interface(struct host_default *hd, const char *interface);
/* Is it there at this moment? True where none is named. */
bool host_default_has_interface(const struct host_default *hd);

/* Asks for all routes, unless an answer is still under way. */
int host_default_ask(struct host_default *hd);

enum host_default_news {
    HOST_DEFAULT_CHANGED = 1, /* something about routes, addresses or links: ask, when quiet */
    HOST_DEFAULT_KNOWN = 2,   /* ipv4 and ipv6 are fresh */
};

/* Call when the socket is readable. Returns the bits above. */
unsigned host_default_read(struct host_default *hd);
