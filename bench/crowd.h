/* SPDX-License-Identifier: Apache-2.0 */
/* crowd.h - clients that mean harm, each crowd a process of a user of its own.
 *
 * They do as much of one thing as they can, and as the broker lets them.
 */
#pragma once
#include <sys/types.h>

enum crowd {
    CROWD_SILENT,   /* connects CROWD_SIZE times, and says nothing */
    CROWD_KNOCKING, /* connects and hangs up, without end */
    CROWD_TALKING,  /* many connections, each with requests waiting all the time */
};

#define CROWD_SIZE 10000

/* Returns its pid when it is there. The socket must be open to everybody. */
int crowd_start(const char *path, enum crowd what, uid_t uid);
void crowd_end(int pid);
