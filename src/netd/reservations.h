/* SPDX-License-Identifier: Apache-2.0 */
/* reservations.h - the addresses of a network that belong to a MAC, whether a TAP of ours
 * has it, a guest behind one, or nobody just now.
 */
#pragma once
#include "netd_msg.h"
#include "why.h"

struct reservations {
    struct netd_reservation *list;
    size_t n;
    /* The next list, while it is being told, and how long it will be. */
    struct netd_reservation *coming;
    size_t n_coming, total;
};

void reservations_clear(struct reservations *reserved);

/* One part of a new list; with the last one the list takes effect. net: whose it is.
 * 1: the list has changed; 0: it has not, or not yet; negative, with words: the new list is
 * void. */
int reservations_take(struct reservations *reserved, const struct netd_update *update,
                      const struct netd_network *net, struct netd_why *why);
/* The whole list, from the journal; taken over. */
void reservations_set(struct reservations *reserved, struct netd_reservation *list, size_t n);

/* Who has this address; NULL: nobody. */
const struct netd_reservation *reservations_find(const struct reservations *reserved,
                                                 uint32_t ipv4);
