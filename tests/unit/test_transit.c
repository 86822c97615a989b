/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses the cable to the host gets, whatever else the host has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem.h"
#include "transit.h"

#define IP(a, b, c, d) (UINT32_C(a) << 24 | UINT32_C(b) << 16 | UINT32_C(c) << 8 | UINT32_C(d))

static const struct story {
    const char *title;
    struct {
        uint32_t base;
        unsigned prefix;
    } host[4]; /* base 0 and prefix 0: no more */
    uint32_t now, expect;
} stories[] = {
    { "a host with nothing special", { { IP(192, 168, 64, 0), 24 } }, 0, IP(169, 254, 255, 0) },
    { "a default route, and a VPN's halves of it",
      { { IP(128, 0, 0, 0), 1 }, { IP(0, 0, 0, 0), 1 } },
      0,
      IP(169, 254, 255, 0) },
    { "a LAN with addresses that the hosts gave themselves",
      { { IP(169, 254, 0, 0), 16 } },
      0,
      IP(169, 254, 255, 0) },
    { "the cloud's metadata address", { { IP(169, 254, 169, 254), 32 } }, 0, IP(169, 254, 255, 0) },
    { "somebody's cable of the same kind",
      { { IP(169, 254, 255, 1), 32 } },
      0,
      IP(169, 254, 255, 4) },
    { "somebody's larger one", { { IP(169, 254, 255, 0), 24 } }, 0, IP(169, 254, 0, 0) },
    { "somebody's half of all", { { IP(169, 254, 128, 0), 17 } }, 0, IP(169, 254, 0, 0) },
    { "ours stays while it is free",
      { { IP(169, 254, 255, 0), 29 } },
      IP(169, 254, 255, 12),
      IP(169, 254, 255, 12) },
    { "ours is given up when somebody else comes to have it",
      { { IP(169, 254, 255, 12), 30 } },
      IP(169, 254, 255, 12),
      IP(169, 254, 255, 0) },
    { "what is none of ours is not kept", { { 0, 0 } }, IP(10, 0, 0, 0), IP(169, 254, 255, 0) },
    { "nothing is free", { { IP(169, 254, 0, 0), 17 }, { IP(169, 254, 128, 0), 17 } }, 0, 0 },
};

static void the_cable_has_nobody_elses_addresses(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(stories); i++) {
        const struct story *s = &stories[i];
        struct transit_map map = { { false } };

        for (size_t k = 0; k < N_ELEMENTS(s->host); k++)
            if (s->host[k].prefix > 0)
                transit_take(&map, s->host[k].base, s->host[k].prefix);
        uint32_t got = transit_choose(&map, s->now);
        if (got != s->expect)
            fail_msg("%s: %08x instead of %08x", s->title, got, s->expect);
        if (got != 0)
            assert_true(transit_valid(got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cable_has_nobody_elses_addresses),
    };
    return cmocka_run_group_tests_name("transit", tests, NULL, NULL);
}
