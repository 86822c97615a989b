/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint.h - which broker a client talks to, decided in one place.
 *
 * $VMNET_BROKER_SOCKET if set, and then nothing else is tried or started; else the
 * system instance if it lets us connect; else the user instance, started when it does
 * not run. Whoever answers must be who it should be: the kernel says which uid listens.
 */
#pragma once
#include "choice.h"
#include "connection.h"
#include "status.h"

#include <stdbool.h>

/* Connects. start: start the user's broker when none answers. ret_used (may be NULL): the choice
 * by which the same instance is found again, and no other.
 * Returns 0, or with *why filled in: -ENOTCONN no broker runs (and none was to be
 * started); -EPERM somebody else answered; anything else: no use trying. */
int endpoint_connect(struct connection *c, enum endpoint_choice choice, bool start,
                     enum endpoint_choice *ret_used, struct failure *why);
