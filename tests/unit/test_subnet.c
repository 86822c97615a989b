/* SPDX-License-Identifier: Apache-2.0 */
/* Which subnet a network gets, told as tables: what is taken, what is wanted, the answer. */
#include "subnet.h"

#include "mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct subnet4 net(const char *text)
{
    struct subnet4 s = { 0 };
    if (text)
        assert_int_equal(subnet4_parse(text, &s), 0);
    return s;
}

static void take_range(struct taken_list *list, const char *text)
{
    assert_int_equal(taken_add(list, net(text), "route %s dev tun0", text), 0);
}

static const struct choice {
    const char *story;
    const char *taken[4];
    const char *wanted, *remembered;
    bool live;
    int err;
    const char *answer; /* the subnet, or a part of the refusal's words */
} choices[] = {
    { "a bare host gets macOS's first subnet", { 0 }, 0, 0, false, 0, "192.168.64.0/24" },
    { "a taken one is skipped", { "192.168.64.0/24" }, 0, 0, false, 0, "192.168.65.0/24" },
    { "a single address is enough to be taken",
      { "192.168.64.77/32" },
      0,
      0,
      false,
      0,
      "192.168.65.0/24" },
    { "a wide range is skipped as a whole",
      { "192.168.64.0/18" },
      0,
      0,
      false,
      0,
      "192.168.128.0/24" },
    { "ranges in any order",
      { "192.168.66.0/23", "192.168.64.0/23", "192.168.68.0/25" },
      0,
      0,
      false,
      0,
      "192.168.69.0/24" },
    { "the next pool is 172.16/12", { "192.168.0.0/16" }, 0, 0, false, 0, "172.16.0.0/24" },
    { "then 10/8", { "192.168.0.0/16", "172.16.0.0/12" }, 0, 0, false, 0, "10.0.0.0/24" },
    { "the very last one",
      { "192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/9", "10.128.0.0/10" },
      0,
      0,
      false,
      0,
      "10.192.0.0/24" },
    { "none left",
      { "192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8" },
      0,
      0,
      false,
      -EADDRNOTAVAIL,
      "no free /24" },
    { "a VPN's half of the internet conflicts with nothing",
      { "0.0.0.0/1", "128.0.0.0/1", "192.0.0.0/7" },
      0,
      0,
      false,
      0,
      "192.168.64.0/24" },
    { "the remembered one is kept",
      { "192.168.64.0/24" },
      0,
      "192.168.90.0/24",
      false,
      0,
      "192.168.90.0/24" },
    { "a remembered one in the way is replaced",
      { "192.168.90.0/23" },
      0,
      "192.168.90.0/24",
      false,
      0,
      "192.168.64.0/24" },
    { "but not under a live VM",
      { "192.168.90.0/23" },
      0,
      "192.168.90.0/24",
      true,
      0,
      "192.168.90.0/24" },
    { "a static subnet is taken as it is",
      { "10.0.0.0/8" },
      "192.168.42.0/26",
      "192.168.90.0/24",
      false,
      0,
      "192.168.42.0/26" },
    { "a static subnet in the way fails and names the other party",
      { "172.20.0.0/16", "10.0.0.0/8" },
      "10.1.2.0/24",
      0,
      false,
      -EADDRINUSE,
      "conflicts with route 10.0.0.0/8 dev tun0" },
};

static void every_choice_is_as_told(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(choices); i++) {
        const struct choice *c = &choices[i];
        struct taken_list taken = { 0 };
        for (size_t k = 0; k < N_ELEMENTS(c->taken) && c->taken[k]; k++)
            take_range(&taken, c->taken[k]);
        struct subnet_wish wish = { net(c->wanted), net(c->remembered), c->live };
        struct subnet4 got = { 0 };
        struct failure failure = { 0 };
        int r = subnet_choose(&wish, &taken, &got, &failure);
        char text[SUBNET4_TEXT];
        const char *answer = r < 0 ? failure.why : subnet4_format(got, text);
        if (r != c->err || failure.err != c->err || !strstr(answer, c->answer))
            fail_msg("%s: got %d, %s", c->story, r, answer);
        taken_clear(&taken);
    }
}

static void a_refusal_leaves_the_result_alone(void **unused)
{
    (void)unused;
    struct taken_list taken = { 0 };
    take_range(&taken, "10.0.0.0/8");
    struct subnet_wish wish = { .wanted = net("10.1.0.0/24") };
    struct subnet4 got = net("192.168.1.0/24");
    assert_int_equal(subnet_choose(&wish, &taken, &got, NULL), -EADDRINUSE);
    assert_int_equal(got.base, 0xc0a80100);
    taken_clear(&taken);
}

/* Handing out subnets until none is left gives every /24 of the pools exactly once. The
 * obvious way, adding each to the list, is quadratic; whole /16s keep it short. */
static void the_pools_are_used_up_completely(void **unused)
{
    (void)unused;
    struct taken_list taken = { 0 };
    for (unsigned i = 0; i < 192; i++) {
        struct subnet_wish wish = { 0 };
        struct subnet4 got;
        assert_int_equal(subnet_choose(&wish, &taken, &got, NULL), 0);
        assert_int_equal(got.base, 0xc0a84000 + i * 256);
        assert_int_equal(taken_add(&taken, got, "network"), 0);
    }
    struct subnet_wish wish = { 0 };
    struct subnet4 got;
    for (unsigned i = 0; i < 16 + 256; i++) {
        assert_int_equal(subnet_choose(&wish, &taken, &got, NULL), 0);
        got.prefix = 16;
        assert_int_equal(taken_add(&taken, got, "network"), 0);
    }
    assert_int_equal(subnet_choose(&wish, &taken, &got, NULL), -EADDRNOTAVAIL);
    taken_clear(&taken);
}

/* 200,000 routes of the internet, and one in each of our pools: still quick. */
static void a_router_with_a_full_table_does_not_stall(void **unused)
{
    (void)unused;
    struct taken_list taken = { 0 };
    for (uint32_t i = 0; i < 200000; i++)
        assert_int_equal(taken_add(&taken, (struct subnet4){ 0x14000000 + i * 256, 24 }, "bgp"), 0);
    take_range(&taken, "192.168.64.0/24");
    struct subnet_wish wish = { 0 };
    struct subnet4 got;
    assert_int_equal(subnet_choose(&wish, &taken, &got, NULL), 0);
    assert_int_equal(got.base, 0xc0a84100);
    taken_clear(&taken);
}

static void fill_counting(void *arg, void *buf, size_t len)
{
    uint8_t *next = arg, *to = buf;
    for (size_t i = 0; i < len; i++)
        to[i] = (*next)++;
}

static void a_ula_prefix_has_forty_random_bits(void **unused)
{
    (void)unused;
    uint8_t next = 0xa1;
    struct random_source random = { fill_counting, &next };
    struct prefix6 p = prefix6_random(&random);
    char text[PREFIX6_TEXT];
    assert_string_equal(prefix6_format(&p, text), "fda1:a2a3:a4a5::/64");
    assert_int_equal(next, 0xa6);
}

/* ---- against a model that is slow and obvious ---- */

static uint64_t dice;

static uint32_t roll(uint32_t n)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (uint32_t)(dice >> 20) % n;
}

/* A range says which addresses are in it by division, not by masks. */
static bool holds(struct subnet4 s, uint64_t addr)
{
    uint64_t size = UINT64_C(1) << (32 - s.prefix);
    return addr / size == s.base / size;
}

static struct subnet4 random_range(uint32_t first, uint32_t size, unsigned shortest)
{
    struct subnet4 s = { .prefix = shortest + roll(33 - shortest) };
    s.base = (first + roll(size)) & subnet4_mask(s);
    return s;
}

static void two_ranges_overlap_when_they_have_an_address_in_common(void **unused)
{
    unsigned met = 0;
    (void)unused;
    dice = 4711;
    for (unsigned i = 0; i < 20000; i++) {
        struct subnet4 a = random_range(0x0a000000, 256, 24), b = random_range(0x0a000000, 256, 24);
        bool common = false;
        for (uint32_t addr = 0x0a000000; addr < 0x0a000100; addr++)
            common = common || (holds(a, addr) && holds(b, addr));
        assert_int_equal(subnet4_overlaps(a, b), common);
        assert_int_equal(subnet4_overlaps(b, a), common);
        met += common;
    }
    assert_in_range(met, 1000, 19000); /* the dice showed both */
}

static bool slow_free(const struct taken_list *taken, uint64_t base)
{
    for (size_t i = 0; i < taken->n; i++) {
        struct subnet4 range = taken->items[i].range, s = { (uint32_t)base, 24 };
        if (holds(range, base) || holds(s, range.base))
            return false;
    }
    return true;
}

/* Every /24 of every pool in turn. 0: none is free. */
static uint32_t slow_choice(const struct taken_list *taken)
{
    static const uint32_t pools[][2] = { { 0xc0a84000, 0xc0a8ff00 },
                                         { 0xac100000, 0xac1fff00 },
                                         { 0x0a000000, 0x0affff00 } };
    for (size_t i = 0; i < N_ELEMENTS(pools); i++)
        for (uint64_t base = pools[i][0]; base <= pools[i][1]; base += 256)
            if (slow_free(taken, base))
                return (uint32_t)base;
    return 0;
}

/* Mostly small ones in the way of the first choice, sometimes half a pool. */
static void take_at_random(struct taken_list *taken)
{
    static const struct {
        uint32_t first, size;
    } places[] = { { 0xc0a84000, 0xc000 },
                   { 0xc0a84000, 0x800 },
                   { 0xac100000, 0x100000 },
                   { 0x0a000000, 0x1000000 } };
    for (uint32_t n = roll(60); n > 0; n--) {
        size_t place = roll(N_ELEMENTS(places));
        unsigned shortest = roll(4) > 0 ? 20 : 9;
        struct subnet4 s = random_range(places[place].first, places[place].size, shortest);
        assert_int_equal(taken_add(taken, s, "route"), 0);
    }
}

static void the_choice_is_the_first_subnet_that_nothing_touches(void **unused)
{
    unsigned pools[3] = { 0 };
    (void)unused;
    dice = 815;
    for (unsigned i = 0; i < 2000; i++) {
        struct taken_list taken = { 0 };
        struct subnet4 got = { 0 };
        take_at_random(&taken);
        int r = subnet_choose(&(struct subnet_wish){ 0 }, &taken, &got, NULL);
        uint32_t wanted = slow_choice(&taken);
        assert_int_equal(r, wanted != 0 ? 0 : -EADDRNOTAVAIL);
        assert_int_equal(got.base, wanted);
        pools[wanted >> 24 == 192 ? 0 : wanted >> 24 == 172 ? 1 : 2]++;
        taken_clear(&taken);
    }
    assert_true(pools[0] > 0 && pools[1] > 0 && pools[2] > 0);
}

static void two_small_networks_share_a_class_c(void **unused)
{
    struct taken_list taken = { 0 };
    (void)unused;
    take_range(&taken, "192.168.42.16/28");
    assert_null(taken_conflict(&taken, net("192.168.42.0/28")));
    assert_null(taken_conflict(&taken, net("192.168.42.32/28")));
    assert_non_null(taken_conflict(&taken, net("192.168.42.0/27")));
    assert_non_null(taken_conflict(&taken, net("192.168.42.24/29")));
    taken_clear(&taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_choice_is_as_told),
        cmocka_unit_test(a_refusal_leaves_the_result_alone),
        cmocka_unit_test(the_pools_are_used_up_completely),
        cmocka_unit_test(a_router_with_a_full_table_does_not_stall),
        cmocka_unit_test(a_ula_prefix_has_forty_random_bits),
        cmocka_unit_test(two_ranges_overlap_when_they_have_an_address_in_common),
        cmocka_unit_test(the_choice_is_the_first_subnet_that_nothing_touches),
        cmocka_unit_test(two_small_networks_share_a_class_c),
    };
    return cmocka_run_group_tests_name("subnet", tests, NULL, NULL);
}
