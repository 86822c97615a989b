/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - what List and Status show: a borrowed view of the core's state.
 *
 * Built on the stack for one answer and serialized before the verb returns, so
 * nothing in it is owned. What only the system knows (addresses, counters) the
 * transport takes from the handle.
 */
#pragma once
#include "backend.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct client_view {
    pid_t pid;
    uid_t uid;
};

struct network_view {
    const struct net_def *def;           /* as it was created */
    const struct definition *definition; /* as it is defined now */
    definition_keys pending;             /* that wait until it is created again */
    const char *state;                   /* net_state_name() */
    unsigned clients, interfaces;
    const struct net_handle *handle; /* NULL while it does not exist */
    /* Those of the clients that the asker may see, in Status only. */
    const struct client_view *holders;
    size_t n_holders; /* at most clients */
};

struct broker_report {
    const struct network_view *networks; /* sorted by name */
    size_t n_networks;
    struct backend_view backend;
    uint64_t uptime_usec;
    bool detailed; /* Status, not List */
    bool forwards; /* ListForwards */
    /* What the transport adds about single interfaces and forwards, it shows of these only: all,
     * or those that belong to the asker's uid. */
    bool sees_all;
    uid_t asker;
};
