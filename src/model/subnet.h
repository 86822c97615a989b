/* SPDX-License-Identifier: Apache-2.0 */
/* subnet.h - which subnet a network gets, and what may stand in the way.
 *
 * Whoever chooses first collects what is taken: the host's routes and addresses
 * (host/host_routes.h), other networks. Each range carries the name of its
 * owner, because a refusal that does not name the other party helps nobody.
 * Pure: nothing here asks the system.
 */
#pragma once
#include "addr.h"
#include "random.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>

#define OWNER_SIZE 88 /* "route 10.0.0.0/8 dev tun0", "network 'lab'" */

struct taken_range {
    struct subnet4 range;
    char owner[OWNER_SIZE];
};

/* All zero is an empty list. */
struct taken_list {
    struct taken_range *items;
    size_t n, room;
};

/* owner: printf-like, cut when too long. A range shorter than /8 is not kept: it
 * conflicts with nothing (the default route, a VPN's 0.0.0.0/1). 0 or -ENOMEM. */
__attribute__((format(printf, 3, 4))) int taken_add(struct taken_list *list, struct subnet4 range,
                                                    const char *owner, ...);
void taken_clear(struct taken_list *list);

/* The first range that overlaps s; borrowed; NULL: none. */
const struct taken_range *taken_conflict(const struct taken_list *list, struct subnet4 s);

struct subnet_wish {
    struct subnet4 wanted;     /* the definition's; prefix 0: choose */
    struct subnet4 remembered; /* from the last time; prefix 0: none */
    bool live;                 /* VMs are using the remembered one right now: it stays */
};

/* A wanted subnet is taken as it is or refused (-EADDRINUSE, naming who has it). A
 * remembered one is kept unless it conflicts and nothing of it is live. Otherwise the
 * first free /24 of 192.168.64.0 to 192.168.255.0, then of 172.16.0.0/12, then of
 * 10.0.0.0/8; none: -EADDRNOTAVAIL. failure may be NULL; on error *ret is untouched. */
int subnet_choose(const struct subnet_wish *wish, const struct taken_list *taken,
                  struct subnet4 *ret, struct failure *failure);

/* A random ULA prefix (RFC 4193): fd, 40 random bits, subnet 0, /64. */
struct prefix6 prefix6_random(const struct random_source *random);
