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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_choice_is_as_told),
        cmocka_unit_test(a_refusal_leaves_the_result_alone),
        cmocka_unit_test(the_pools_are_used_up_completely),
        cmocka_unit_test(a_router_with_a_full_table_does_not_stall),
        cmocka_unit_test(a_ula_prefix_has_forty_random_bits),
    };
    return cmocka_run_group_tests_name("subnet", tests, NULL, NULL);
}
