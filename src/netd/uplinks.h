/* SPDX-License-Identifier: Apache-2.0 */
/* uplinks.h - the ways out that there can be: one by the host's routes, and one for each
 * interface of the host's that a definition has chosen. names.h says how they are numbered.
 *
 * One is made when it is needed first, and stopped, not freed, when it no longer is.
 */
#pragma once
#include "names.h"
#include "uplink.h"

struct uplinks;

/* Sockets of the host's namespace, where we shall not be later. 0 or a negative errno, and
 * then none is open. */
int uplinks_open_host_routes(int ret[static UPLINKS_MAX]);

void uplinks_close_host_routes(int fds[static UPLINKS_MAX]); /* -1: none */

/* host_routes: taken over, and -1 afterwards. Starts nothing. */
int uplinks_new(const struct uplink_setup *setup, int host_routes[static UPLINKS_MAX],
                struct uplinks **ret);
void uplinks_free(struct uplinks *uplinks);
void uplinks_set_child_watch(struct uplinks *uplinks, uplink_child_changed child, void *arg);

/* interface: "" for slot 0. Idempotent. 0 or a negative errno, which was logged. */
int uplinks_start(struct uplinks *uplinks, unsigned slot, const char *interface);
void uplinks_stop(struct uplinks *uplinks, unsigned slot);

/* NULL: it was never needed. */
const struct uplink *uplinks_at(const struct uplinks *uplinks, unsigned slot);
