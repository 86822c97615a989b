/* SPDX-License-Identifier: Apache-2.0 */
/* activator.h - does for netd what systemd does with vmnet-netd.socket, where there is no systemd.
 *
 * In a system instance the broker can start nothing and has no right to: it connects, and whoever
 * holds the listening socket starts netd with it. Without systemd that is this process. It is
 * netd's user already, keeps no file of the broker's, and hears nothing from it: it only looks
 * whether somebody has connected. It ends with the broker; netd does not.
 */
#pragma once
#include "confine.h"
#include "log.h"

struct activator {
    const struct user_shoes *netd; /* what netd is to be */
    const char *program;
    int listening; /* its socket */
    int leash;     /* ends with the broker, and so does the activator */
    enum log_level log_level;
};

/* Forks it. By root, while there is one thread. 0 or a negative errno. */
int activator_start(const struct activator *activator);
