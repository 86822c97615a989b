/* SPDX-License-Identifier: Apache-2.0 */
/* What of the host's links and of ours is in the host's table. That the rules mean what they
 * should is a matter for the kernel: tests/system/host_nat_smoke.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host_nat_rules.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

static const struct host_nat_rules usual = {
    .transit = 0xa9feff00, /* 169.254.255.0 */
    .only4 = { { "eth0", "tun0" }, 2 },
    .only6 = { { "eth0" }, 1 },
    .timeouts = true,
};

static void the_table_stands_in_the_place_of_the_old_one(void **unused)
{
    struct nft_text text = { .len = 0 };

    (void)unused;
    host_nat_rules_text(&usual, &text);
    assert_ptr_equal(strstr(text.at, "add table inet vmnet_broker_uplink\n"
                                     "delete table inet vmnet_broker_uplink\n"),
                     text.at);
    assert_non_null(strstr(text.at, "ip saddr 169.254.255.2 masquerade"));
    assert_non_null(strstr(text.at, "only4 { \"tun0\" }"));
    assert_non_null(strstr(text.at, "only6 { \"eth0\" }"));
    assert_null(strstr(text.at, "only6 { \"tun0\" }"));
}

static void nothing_is_about_links_that_are_not_named(void **unused)
{
    struct host_nat_rules rules = usual;
    struct nft_text text = { .len = 0 };

    (void)unused;
    rules.only4.n = rules.only6.n = 0;
    host_nat_rules_text(&rules, &text);
    assert_null(strstr(text.at, "add element"));
}

static void a_kernel_without_timeouts_is_not_asked_for_them(void **unused)
{
    struct host_nat_rules rules = usual;
    struct nft_text text = { .len = 0 };

    (void)unused;
    host_nat_rules_text(&rules, &text);
    assert_non_null(strstr(text.at, "ct timeout set"));
    rules.timeouts = false;
    text = (struct nft_text){ .len = 0 };
    host_nat_rules_text(&rules, &text);
    assert_null(strstr(text.at, "ct timeout"));
}

static void every_number_of_links_fits(void **unused)
{
    struct host_nat_rules rules = usual;
    struct nft_text text = { .len = 0 };

    (void)unused;
    for (uint32_t i = 0; i < HOST_NAT_LINKS_MAX; i++) {
        strcpy(rules.only4.name[i], "abcdefghijklmno");
        strcpy(rules.only6.name[i], "abcdefghijklmno");
    }
    rules.only4.n = rules.only6.n = HOST_NAT_LINKS_MAX;
    host_nat_rules_text(&rules, &text);
    assert_int_equal(text.err, 0);
    assert_int_equal(strlen(text.at), text.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_stands_in_the_place_of_the_old_one),
        cmocka_unit_test(nothing_is_about_links_that_are_not_named),
        cmocka_unit_test(a_kernel_without_timeouts_is_not_asked_for_them),
        cmocka_unit_test(every_number_of_links_fits),
    };
    return cmocka_run_group_tests_name("host_nat_rules", tests, NULL, NULL);
}
