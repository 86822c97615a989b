/* SPDX-License-Identifier: Apache-2.0 */
/* subnet.c - chooses subnets; see subnet.h.
 *
 * The pools hold 70,000 candidates, and a host may have as many routes. Instead of
 * trying every candidate against every route, the search jumps behind whatever is in
 * the way: a range can be in the way once a pool, so the number of steps is bounded by
 * the number of ranges that lie in the pools, on ordinary hosts a handful.
 */
#include "subnet.h"

#include "mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SHORTEST_PREFIX 8  /* anything wider is a default route in disguise */
#define CHOSEN_PREFIX   24 /* what we hand out */

static const struct pool {
    uint32_t first, last; /* first and last subnet's base */
} pools[] = {
    { 0xc0a84000, 0xc0a8ff00 }, /* 192.168.64.0 to 192.168.255.0, as on macOS */
    { 0xac100000, 0xac1fff00 }, /* 172.16.0.0/12 */
    { 0x0a000000, 0x0affff00 }, /* 10.0.0.0/8 */
};

int taken_add(struct taken_list *list, struct subnet4 range, const char *owner, ...)
{
    if (range.prefix < SHORTEST_PREFIX)
        return 0;
    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        void *items = realloc(list->items, room * sizeof *list->items);
        if (!items)
            return -ENOMEM;
        list->items = items;
        list->room = room;
    }
    struct taken_range *item = &list->items[list->n++];
    item->range = range;
    va_list ap;
    va_start(ap, owner);
    (void)vsnprintf(item->owner, sizeof item->owner, owner, ap);
    va_end(ap);
    return 0;
}

void taken_clear(struct taken_list *list)
{
    free(list->items);
    *list = (struct taken_list){ 0 };
}

const struct taken_range *taken_conflict(const struct taken_list *list, struct subnet4 s)
{
    for (size_t i = 0; i < list->n; i++)
        if (subnet4_overlaps(list->items[i].range, s))
            return &list->items[i];
    return NULL;
}

/* The first free subnet of a pool. Works on 64 bits so that jumping over a range at the
 * end of the address space cannot wrap around to its beginning. */
static bool pool_find(const struct pool *pool, const struct taken_list *taken, struct subnet4 *ret)
{
    const uint64_t step = UINT64_C(1) << (32 - CHOSEN_PREFIX);

    for (uint64_t base = pool->first; base <= pool->last;) {
        struct subnet4 candidate = { .base = (uint32_t)base, .prefix = CHOSEN_PREFIX };
        const struct taken_range *in_way = taken_conflict(taken, candidate);
        if (!in_way) {
            *ret = candidate;
            return true;
        }
        uint64_t mask = subnet4_mask(in_way->range);
        uint64_t end = (in_way->range.base & mask) + (UINT64_C(1) << (32 - in_way->range.prefix));
        base = end > base + step ? (end + step - 1) / step * step : base + step;
    }
    return false;
}

int subnet_choose(const struct subnet_wish *wish, const struct taken_list *taken,
                  struct subnet4 *ret, struct failure *failure)
{
    if (wish->live && wish->remembered.prefix != 0) {
        *ret = wish->remembered;
        return 0;
    }
    if (wish->wanted.prefix != 0) {
        const struct taken_range *other = taken_conflict(taken, wish->wanted);
        char text[SUBNET4_TEXT];
        if (other)
            return failure_set(failure, -EADDRINUSE,
                               "its subnet %s conflicts with %s; choose another "
                               "subnet, or none to have one chosen",
                               subnet4_format(wish->wanted, text), other->owner);
        *ret = wish->wanted;
        return 0;
    }
    if (wish->remembered.prefix != 0 && !taken_conflict(taken, wish->remembered)) {
        *ret = wish->remembered;
        return 0;
    }
    for (size_t i = 0; i < N_ELEMENTS(pools); i++)
        if (pool_find(&pools[i], taken, ret))
            return 0;
    return failure_set(failure, -EADDRNOTAVAIL,
                       "no free /24 in 192.168.64.0-192.168.255.0, 172.16.0.0/12 or "
                       "10.0.0.0/8: the host's routes and other networks take all of them");
}

struct prefix6 prefix6_random(const struct random_source *random)
{
    struct prefix6 p = { .addr = { 0xfd }, .len = 64 };
    random->fill(random->arg, p.addr + 1, 5);
    return p;
}
