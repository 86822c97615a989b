/* SPDX-License-Identifier: Apache-2.0 */
/* identity_part.h - what the rooms behind identity.h know of each other:
 *
 *   identity.c        the table: who is in it, what is reserved, what comes from elsewhere
 *   identity_start.c  who an interface will be, when it starts
 */
#pragma once
#include "identity.h"

extern const struct mac identity_no_mac;

/* NULL: nobody; so for a zero MAC or address. */
struct identity *identity_by_name(const struct identity_table *table, const char *name);
struct identity *identity_by_mac(const struct identity_table *table, struct mac mac);
struct identity *identity_by_ipv4(const struct identity_table *table, uint32_t ipv4);

void identity_forget(struct identity_table *table, struct identity *identity);

/* What it remembers although it is another MAC's by now. */
void identity_give_up_reserved(const struct identity_table *table, struct identity *identity);

/* What VMs can have: from the second usable address (the first is the gateway's) to the
 * last but one (the last is reserved for the host). false: nothing. */
bool identity_vm_range(struct subnet4 s, uint32_t *first, uint32_t *last);
