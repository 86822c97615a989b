/* SPDX-License-Identifier: Apache-2.0 */
/* Which elements a network has in the router's sets. That the rules mean what they
 * should is a matter for the kernel: tests/system/uplink_smoke.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem.h"
#include "nft_text.h"
#include "router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char batch[12288];
static int answer;

/* Stands in for nft.c. */
int nft_run(struct nft *nft, const char *fmt, ...)
{
    va_list ap;

    (void)nft;
    va_start(ap, fmt);
    (void)vsnprintf(batch, sizeof batch, fmt, ap);
    va_end(ap);
    return answer;
}

bool nft_accepts(struct nft *nft, const char *probe)
{
    (void)nft;
    (void)snprintf(batch, sizeof batch, "%s", probe);
    return answer == 0;
}

#define ADD            "add element inet vmnet "
/* Groups: those of network 0 and of uplink 2, behind all networks. */
#define OUT(protocol)  "1 . 131 . " protocol
#define BACK(protocol) "131 . 1 . " protocol
#define WAY(protocol)                                                                              \
    ADD "ways { " OUT(protocol) " : goto leaving2,\n  " BACK(protocol) " : goto arriving }\n" ADD  \
                                                                       "open { 1 . " protocol      \
                                                                       " }\n"

static const struct netd_network full = {
    .mode = NET_MODE_SHARED,
    .flags = NETD_NET_NAT44 | NETD_NET_NAT66,
    .ipv4_base = 0xc0a84000, /* 192.168.64.0 */
    .ipv4_prefix = 24,
    .ipv6 = { 0xfd, 0x12, [7] = 1 },
    .ipv6_len = 64,
};

static const struct way_out second = { 2, 2 };

static const struct story {
    const char *name;
    enum net_mode mode;
    uint32_t flags;
    unsigned ipv4_prefix, ipv6_len;
    const char *expect;
} stories[] = {
    { "a shared network leaves by both families", NET_MODE_SHARED, NETD_NET_FLAGS, 24, 64,
      ADD "bridges { \"vb0\" }\n" ADD "gateways4 { \"vb0\" . 192.168.64.1 }\n" ADD
          "gateways6 { \"vb0\" . fd12:0:0:1::1 }\n" WAY("ipv4") WAY("ipv6") },
    { "a host network never leaves, whatever its flags say", NET_MODE_HOST, NETD_NET_FLAGS, 24, 64,
      ADD "bridges { \"vb0\" }\n" ADD "gateways4 { \"vb0\" . 192.168.64.1 }\n" ADD
          "gateways6 { \"vb0\" . fd12:0:0:1::1 }\n" },
    { "without nat66 only IPv4 leaves", NET_MODE_SHARED, NETD_NET_NAT44, 24, 64,
      ADD "bridges { \"vb0\" }\n" ADD "gateways4 { \"vb0\" . 192.168.64.1 }\n" ADD
          "gateways6 { \"vb0\" . fd12:0:0:1::1 }\n" WAY("ipv4") },
    { "without nat44 only IPv6 leaves", NET_MODE_SHARED, NETD_NET_NAT66, 24, 64,
      ADD "bridges { \"vb0\" }\n" ADD "gateways4 { \"vb0\" . 192.168.64.1 }\n" ADD
          "gateways6 { \"vb0\" . fd12:0:0:1::1 }\n" WAY("ipv6") },
    { "without IPv6 there is no such gateway", NET_MODE_HOST, 0, 24, 0,
      ADD "bridges { \"vb0\" }\n" ADD "gateways4 { \"vb0\" . 192.168.64.1 }\n" },
};

static void networks_get_their_elements_and_no_others(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(stories); i++) {
        const struct story *s = &stories[i];
        struct netd_network net = full;

        net.mode = s->mode;
        net.flags = s->flags;
        net.ipv4_prefix = s->ipv4_prefix;
        net.ipv6_len = s->ipv6_len;
        assert_int_equal(router_add_network(NULL, 0, &second, &net), 0);
        if (strcmp(batch, s->expect) != 0)
            fail_msg("%s: %s", s->name, batch);
    }
}

static void removing_twice_is_no_error(void **unused)
{
    (void)unused;
    assert_int_equal(router_remove_network(NULL, 0, &second, &full), 0);
    const char *add = strstr(batch, WAY("ipv6"));
    assert_non_null(add); /* so that the kernel finds what it is to delete */
    assert_non_null(
        strstr(add, "delete element inet vmnet ways { " OUT("ipv6") ", " BACK("ipv6") " }\n"));
}

static void the_kernels_refusal_is_passed_on(void **unused)
{
    (void)unused;
    answer = -EIO;
    assert_int_equal(router_add_network(NULL, 0, &second, &full), -EIO);
    assert_int_equal(router_init(NULL), -EIO);
    assert_int_equal(router_set_generation(NULL, 0, 7), -EIO);
    answer = 0;
}

static void a_new_table_replaces_an_old_one_in_one_batch(void **unused)
{
    static const char start[] = "add table inet vmnet\ndelete table inet vmnet\n";

    (void)unused;
    assert_int_equal(router_init(NULL), 0);
    assert_memory_equal(batch, start, sizeof start - 1);
}

static void guests_are_told_only_about_families_that_are_gone(void **unused)
{
    (void)unused;
    assert_int_equal(router_set_reach(NULL, 3, true, true), 0);
    assert_string_equal(batch, "flush chain inet vmnet unreachable3\n");
    assert_int_equal(router_set_reach(NULL, 3, true, false), 0);
    assert_non_null(strstr(batch, "ipv6 reject"));
    assert_null(strstr(batch, "ipv4 reject"));
}

static void an_engine_gets_only_what_it_can_carry(void **unused)
{
    (void)unused;
    assert_int_equal(router_set_limits(NULL, 3, true, true), 0);
    assert_null(strstr(batch, "add rule"));
    assert_int_equal(router_set_limits(NULL, 3, false, true), 0);
    assert_non_null(strstr(batch, "meta mark 2 drop"));
    assert_null(strstr(batch, "icmpv6"));
    assert_int_equal(router_set_limits(NULL, 3, true, false), 0);
    assert_non_null(strstr(batch, "icmpv6"));
    assert_null(strstr(batch, "meta mark 2 drop"));
}

static void what_does_not_fit_is_not_run(void **unused)
{
    struct nft_text text = { .len = 0 };

    (void)unused;
    for (unsigned i = 0; i < NFT_TEXT_SIZE; i += 2)
        nft_text_add(&text, "%u\n", i % 10);
    assert_int_equal(text.err, -ENAMETOOLONG);
    *batch = '\0';
    assert_int_equal(nft_text_run(&text, NULL), -ENAMETOOLONG);
    assert_string_equal(batch, "");
}

static void fragments_are_marked_for_an_engine_that_cannot_carry_them(void **unused)
{
    (void)unused;
    assert_int_equal(router_init(NULL), 0);
    assert_null(strstr(batch, "chain early"));
    assert_int_equal(router_set_limits(NULL, 3, true, true), 0);
    assert_null(strstr(batch, "chain early"));
    assert_int_equal(router_set_limits(NULL, 3, false, true), 0);
    assert_non_null(strstr(batch, "chain early"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_get_their_elements_and_no_others),
        cmocka_unit_test(removing_twice_is_no_error),
        cmocka_unit_test(the_kernels_refusal_is_passed_on),
        cmocka_unit_test(a_new_table_replaces_an_old_one_in_one_batch),
        cmocka_unit_test(guests_are_told_only_about_families_that_are_gone),
        cmocka_unit_test(an_engine_gets_only_what_it_can_carry),
        cmocka_unit_test(fragments_are_marked_for_an_engine_that_cannot_carry_them),
        cmocka_unit_test(what_does_not_fit_is_not_run),
    };
    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
