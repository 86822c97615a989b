/* SPDX-License-Identifier: Apache-2.0 */
/* reserved.h - a network's reservations, as identities ask for them.
 *
 * A copy of a definition's list, since the definition may change at any time. Those that
 * are not in the network's subnet (its definition has moved, the network not yet) count as
 * not there.
 */
#pragma once
#include "definition.h"

#include <stddef.h>

struct reserved {
    struct reservation *list;
    size_t n;
};

/* Takes the place of what was reserved before. 0 or -ENOMEM; then nothing has changed. */
int reserved_copy(struct reserved *reserved, const struct reservation *list, size_t n,
                  struct subnet4 subnet);
void reserved_clear(struct reserved *reserved);
/* The network is elsewhere from now on: what is not there is forgotten. */
void reserved_move(struct reserved *reserved, struct subnet4 subnet);

/* NULL: not reserved. */
const struct reservation *reserved_mac(const struct reserved *reserved, struct mac mac);
const struct reservation *reserved_name(const struct reserved *reserved, const char *name);
const struct reservation *reserved_ipv4(const struct reserved *reserved, uint32_t ipv4);
