/* SPDX-License-Identifier: Apache-2.0 */
/* partner.h - a process that netd forks to do what netd itself may not: the spawner, and in a
 * system instance the hostside. netd asks, and waits for the answer, for some seconds at most.
 *
 * Without one of them netd is of little use: keep.h says what happens when it ends.
 */
#pragma once
#include "spawner.h"

struct partner {
    const char *what; /* for the log */
    int sock;         /* hangs up when it has died */
    struct child child;
};

/* netd's side, after a fork() that returned pid. what: borrowed, sock: taken over. 0 or a negative
 * errno, and then, too, partner_end() is due. */
int partner_init(struct partner *partner, const char *what, int sock, pid_t pid);
/* As packet_receive(). -ETIMEDOUT: it did not answer, and was killed. */
int partner_hear(const struct partner *partner, void *data, size_t len, int *fds, size_t *ret_n);
/* It ends, which is waited for. */
void partner_end(struct partner *partner);

/* Its own side, first of all: a process apart from netd's terminal and signals. */
void partner_begin(const char *name);
