/* SPDX-License-Identifier: Apache-2.0 */
/* transit.c - see transit.h. */
#include "transit.h"

#include <string.h>

#define LAST_24           UINT32_C(0xa9feff00) /* 169.254.255.0 */
#define FIRST_24          UINT32_C(0xa9fe0000) /* 169.254.0.0 */
#define LINK_LOCAL_PREFIX 16u

/* OVN-Kubernetes begins to take at the lower end; so we begin at the upper one. */
static uint32_t base_of(unsigned i)
{
    return i < TRANSITS / 2 ? LAST_24 + 4 * i : FIRST_24 + 4 * (i - TRANSITS / 2);
}

bool transit_valid(uint32_t base)
{
    for (unsigned i = 0; i < TRANSITS; i++)
        if (base_of(i) == base)
            return true;
    return false;
}

static uint32_t mask_of(unsigned prefix)
{
    return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

void transit_take(struct transit_map *map, uint32_t base, unsigned prefix)
{
    if (prefix <= LINK_LOCAL_PREFIX || prefix > 32)
        return;
    for (unsigned i = 0; i < TRANSITS; i++) {
        uint32_t shared = mask_of(prefix < TRANSIT_PREFIX ? prefix : TRANSIT_PREFIX);

        map->taken[i] |= ((base ^ base_of(i)) & shared) == 0;
    }
}

uint32_t transit_choose(const struct transit_map *map, uint32_t now)
{
    uint32_t first = 0;

    for (unsigned i = 0; i < TRANSITS; i++) {
        if (map->taken[i])
            continue;
        if (base_of(i) == now)
            return now;
        if (first == 0)
            first = base_of(i);
    }
    return first;
}

/* fd76:6d6e:6574:ff::, "vmnet"; the user uplinks have 0 to 7 there (engine.c). */
static void transit6(uint8_t ret[static 16], uint8_t last)
{
    static const uint8_t base[16] = { 0xfd, 0x76, 0x6d, 0x6e, 0x65, 0x74, 0, 0xff };

    memcpy(ret, base, sizeof base);
    ret[15] = last;
}

void transit6_host(uint8_t ret[static 16])
{
    transit6(ret, 1);
}

void transit6_inside(uint8_t ret[static 16])
{
    transit6(ret, 2);
}
