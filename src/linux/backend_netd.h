/* SPDX-License-Identifier: Apache-2.0 */
/* backend_netd.h - networks by way of the privileged helper, vmnet-netd.
 *
 * The broker's side: it chooses subnets, addresses and names (model/), remembers
 * them in memory.json of the state directory, and asks netd to make them real.
 */
#pragma once
#include "backend.h"
#include "paths.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct backend_netd_config {
    const struct paths *paths; /* copied */
    bool system;               /* netd is a service of systemd's: never started by us */
    const char *netd_program;  /* copied; NULL: found (netd_start.h says where) */
    int state_dirfd;           /* borrowed, must outlive the backend; memory.json lives in it */
    uint32_t idle_timeout_sec; /* of networks that do not say otherwise, and of netd */
};

/* event: borrowed, must outlive the backend. events: copied.
 *
 * Reads memory.json (a damaged one costs a log line, never the start), connects to a
 * netd that already runs - two seconds at most - and reports what that has through
 * events->found before it returns. Starts a netd only where a dead one left its journal, to
 * adopt or sweep what there is; then found() comes later. Else the first build() does.
 *
 * Returns 0 with *ret filled in (ended through ret->ops->free(), which asks a netd
 * without live interfaces to leave), or -ENOMEM. */
int backend_netd_new(const struct backend_netd_config *config, sd_event *event,
                     const struct backend_events *events, struct backend *ret);
