/* SPDX-License-Identifier: Apache-2.0 */
/* transit.h - the four addresses of the cable between the host and the vmnet namespace.
 *
 * They are seen on that cable alone: what leaves the namespace is masqueraded before it, and
 * what leaves the host after it. But the host has a route to them, so they must be nobody
 * else's. RFC 3927 reserves the first and the last /24 of 169.254/16: no machine gives itself
 * an address of these, no LAN and no VPN routes them, and whoever uses link-local addresses on
 * a link has the route of the whole /16, which harms nothing. What others put into these two
 * /24 is avoided all the same.
 *
 * Pure: host_view.h asks the system.
 */
#pragma once
#include "addr.h"

#include <stdbool.h>
#include <stdint.h>

#define TRANSITS       128u
#define TRANSIT_PREFIX 30u

/* All zero: all are free. */
struct transit_map {
    bool taken[TRANSITS];
};

/* A route or address of the host's, base in host byte order. */
void transit_take(struct transit_map *map, uint32_t base, unsigned prefix);
/* Which one: `now` (host byte order, 0: none yet) as long as it is free, else the first that
 * is; 0: there is none. The host has the first address of it, the namespace the second. */
uint32_t transit_choose(const struct transit_map *map, uint32_t now);
/* Is it one of ours to choose? */
bool transit_valid(uint32_t base);

static inline uint32_t transit_host(uint32_t base)
{
    return base + 1;
}

static inline uint32_t transit_inside(uint32_t base)
{
    return base + 2;
}

/* In IPv6 there is room enough for one that nobody else has by chance. */
#define TRANSIT6_PREFIX 64u
void transit6_host(uint8_t ret[static 16]);
void transit6_inside(uint8_t ret[static 16]);
