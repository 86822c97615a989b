/* SPDX-License-Identifier: Apache-2.0 */
/* netd_start.h - finds the helper, or starts it, without making the loop wait.
 *
 * `vmnet-netd --user --background` returns when netd answers on its socket, or says on
 * standard error why it cannot. The starter (netd_starter.h) runs and watches it, and we
 * connect when it has ended well. In a system instance netd is systemd's to start, by connecting.
 */
#pragma once
#include "netd_starter.h"
#include "paths.h"
#include "status.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

/* Connects to a netd that runs. Never blocks. Returns a non-blocking descriptor;
 * -ENOENT or -ECONNREFUSED: none runs; -EPERM: the socket is another user's. */
int netd_connect(const struct paths *paths);

/* Measured 30 to 60 ms here; this long only where something is badly wrong. */
#define NETD_START_TIMEOUT_MSEC 10000

struct netd_start_config {
    struct paths paths;
    bool system;
    /* NULL: $VMNET_BROKER_NETD, else beside our own program, else LIBEXECDIR. */
    char *program;
    struct netd_starter *starter; /* NULL in a system instance */
};

struct netd_start; /* one attempt */

/* failure is NULL and fd a connected socket, the callee's; or failure has the words.
 * Called once, on the loop, never from inside netd_start_begin(); the attempt is over. */
typedef void (*netd_started)(void *arg, const struct failure *failure, int fd);

/* config, event: borrowed until started() or netd_start_cancel(). 0 or -ENOMEM. */
int netd_start_begin(sd_event *event, const struct netd_start_config *config, netd_started started,
                     void *arg, struct netd_start **ret);

/* Without the event loop: waits at most until `deadline` (CLOCK_MONOTONIC) for what becomes of a
 * netd that is being started, and then calls started(). 0; -ETIMEDOUT; -EAGAIN: none is yet;
 * -EPIPE: nobody will say. */
int netd_start_turn(struct netd_start *start, uint64_t deadline_usec);

/* started() will not be called. What has been spawned runs on. NULL is fine. */
void netd_start_cancel(struct netd_start *start);
