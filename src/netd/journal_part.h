/* SPDX-License-Identifier: Apache-2.0 */
/* journal_part.h - what the rooms behind journal.h know of each other:
 *
 *   journal.c         the files: one fact after the other, and beginning again
 *   journal_read.c    what a journal says in the end
 *   journal_json.c    a fact as a line, and back: a network or interface is its message's
 *                     body, member by member, and what is read must pass the check that the
 *                     message would have to pass
 */
#pragma once
#include "journal.h"
#include "mem.h"

#include <jansson.h>

#define JOURNAL_COPIES 2
#define BOOT_SIZE      64

DEFINE_AUTO(json_t *, json_decref);

extern const char *const journal_names[JOURNAL_COPIES];

/* Everything is true until the next boot. */
int journal_boot_id(char boot[static BOOT_SIZE]);

extern const char *const journal_child_names[JOURNAL_CHILDREN];

/* A line each, the caller's; NULL: no memory. */
json_t *journal_line_boot(void);
json_t *journal_line_anchor(const struct process *anchor);
json_t *journal_line_index(const char *fact, uint32_t index);
json_t *journal_line_stranded(uint32_t index, uint64_t taps);
json_t *journal_line_network(uint32_t index, const struct netd_network *network);
json_t *journal_line_spare_tap(uint32_t index, const char *tap);
json_t *journal_line_tap(uint32_t index, const struct netd_interface *interface);
json_t *journal_line_forward(const struct journal_forward *forward);
json_t *journal_line_update(uint32_t index, uint32_t idle_timeout_sec,
                            const struct netd_reservation *reservations, size_t n);
json_t *journal_line_host_nat(const struct host_nat_plan *plan);
json_t *journal_line_child(enum journal_child kind, uint32_t index, const struct process *child);

/* Out of a line, as strict as if it had just come over the socket; -EBADMSG. */
int journal_get_network(const json_t *line, struct netd_network *ret);
int journal_get_interface(const json_t *line, struct netd_interface *ret);
int journal_get_reservation(const json_t *line, struct netd_reservation *ret);
int journal_get_forward(const json_t *line, struct netd_forward *ret);
int journal_get_host_nat(const json_t *line, struct host_nat_plan *ret);
