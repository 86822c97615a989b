/* SPDX-License-Identifier: Apache-2.0 */
/* journal_part.h - what the rooms behind journal.h know of each other:
 *
 *   journal.c        writes
 *   journal_read.c   reads
 *   journal_json.c   what both have in common: a network or interface is its message's body,
 *                    member by member, and what is read must pass the check that the message
 *                    would have to pass
 */
#pragma once
#include "journal.h"
#include "mem.h"

#include <jansson.h>

#define JOURNAL_NAME "journal"
#define BOOT_SIZE    64

DEFINE_AUTO(json_t *, json_decref);

/* "anchor" lines are true until the next boot. */
int journal_boot_id(char boot[static BOOT_SIZE]);

extern const char *const journal_child_names[JOURNAL_CHILDREN];

/* Into a line; -ENOMEM. */
int journal_put_network(json_t *line, const struct netd_network *network);
int journal_put_interface(json_t *line, const struct netd_interface *interface);
int journal_put_reservation(json_t *line, const struct netd_reservation *reservation);
/* Out of one, as strict as if it had just come over the socket; -EBADMSG. */
int journal_get_network(const json_t *line, struct netd_network *ret);
int journal_get_interface(const json_t *line, struct netd_interface *ret);
int journal_get_reservation(const json_t *line, struct netd_reservation *ret);
