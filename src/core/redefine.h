/* SPDX-License-Identifier: Apache-2.0 */
/* redefine.h - a network that exists, and its definition, which may have changed since.
 *
 * What the core itself goes by (description, allow, idle_timeout, persistent) is applied to it,
 * and what the backend can apply to a network that exists (dhcp_reservations, port_forwarding);
 * all other keys are pending until it is created anew, which happens as soon as nobody uses it
 * and somebody asks for it. VMs notice nothing of either.
 */
#pragma once
#include "registry.h"

/* newest: what its name is defined as now, borrowed; NULL: no longer. May lead back into
 * the registry, and end the network when it is gone. */
void redefine(struct network *net, struct definition *newest);

/* It has been created or found: what its definition lists beside the network itself is
 * applied to it. */
void redefine_apply(struct network *net);

/* The keys that wait until it is created anew. */
definition_keys redefine_pending(const struct network *net);
