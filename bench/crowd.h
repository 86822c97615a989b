/* SPDX-License-Identifier: Apache-2.0 */
/* crowd.h - many clients, each crowd a process of a user of its own.
 *
 * All but the last kind mean harm: they do as much of one thing as they can, and as the broker
 * lets them.
 */
#pragma once
#include <sys/types.h>

enum crowd {
    CROWD_SILENT,   /* connects CROWD_SIZE times, and says nothing */
    CROWD_KNOCKING, /* connects and hangs up, without end */
    CROWD_TALKING,  /* many connections, each with requests waiting all the time */
    CROWD_USING,    /* 250 that hold "host", 25 of them a network of their own, too: the Nth user
                     * after a round number begins at "netM", M being 25 N */
};

#define CROWD_SIZE 10000

/* Returns its pid when it is there. The socket must be open to everybody. */
int crowd_start(const char *path, enum crowd what, uid_t uid);
void crowd_end(int pid);
