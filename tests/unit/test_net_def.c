/* SPDX-License-Identifier: Apache-2.0 */
#include "net_def.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define N(a)        (sizeof(a) / sizeof *(a))
#define SIXTY_THREE "a23456789-123456789-123456789-123456789-123456789-123456789-123"
#define SIXTY_FOUR  "a23456789-123456789-123456789-123456789-123456789-123456789-1234"

static void shared_reaches_the_internet(void **unused)
{
    struct net_def def;
    (void)unused;
    assert_int_equal(net_def_find("shared", &def), 0);
    assert_string_equal(def.name, "shared");
    assert_int_equal(def.mode, NET_MODE_SHARED);
    assert_true(def.nat44 && def.nat66 && def.dhcp && def.dns_proxy && def.router_advertisement);
    assert_false(def.isolation);
    assert_int_equal(def.mtu, 1500);
    assert_int_equal(def.anti_spoofing, SPOOF_STRICT);
    assert_int_equal(def.uplink, UPLINK_AUTO);
    assert_int_equal(def.subnet.prefix, 0);
    assert_int_equal(def.prefix6.len, 0);
    assert_int_equal(def.idle_timeout_sec, UINT32_MAX);
}

static void host_has_no_way_out(void **unused)
{
    struct net_def def;
    (void)unused;
    assert_int_equal(net_def_find("host", &def), 0);
    assert_int_equal(def.mode, NET_MODE_HOST);
    assert_false(def.nat44 || def.nat66 || def.dns_proxy);
    assert_true(def.dhcp && def.router_advertisement);
}

static void other_names_are_unknown_or_malformed_and_change_nothing(void **unused)
{
    struct net_def def = { .mtu = 7 };
    (void)unused;
    assert_int_equal(net_def_find("lab", &def), -ENOENT);
    assert_int_equal(net_def_find("shared2", &def), -ENOENT);
    assert_int_equal(net_def_find("share", &def), -ENOENT);
    assert_int_equal(net_def_find("../shared", &def), -EINVAL);
    assert_int_equal(net_def_find("", &def), -EINVAL);
    assert_int_equal(def.mtu, 7);
}

static void a_name_is_one_dns_label(void **unused)
{
    static const char *const good[] = { "a", "0", "web", "web-1", "a--b", SIXTY_THREE };
    static const char *const bad[] = { "",         "-",   "-a",  "a-",    "A",       "Web",
                                       "a.b",      "a_b", "a b", "../x",  "a/b",     "sh\nared",
                                       "\xc3\xa4", " a",  "a ",  "a\x7f", SIXTY_FOUR };
    (void)unused;
    for (size_t i = 0; i < N(good); i++)
        if (!name_valid(good[i]))
            fail_msg("refused '%s'", good[i]);
    for (size_t i = 0; i < N(bad); i++)
        if (name_valid(bad[i]))
            fail_msg("took '%s'", bad[i]);
}

static void the_networks_own_names_are_reserved(void **unused)
{
    (void)unused;
    assert_true(vm_name_reserved("host"));
    assert_true(vm_name_reserved("gateway"));
    assert_true(vm_name_reserved("wpad"));
    assert_true(vm_name_reserved("localhost"));
    assert_false(vm_name_reserved("web"));
    assert_false(vm_name_reserved("host1"));
}

static void modes_have_names(void **unused)
{
    enum net_mode mode = NET_MODE_SHARED;
    (void)unused;
    assert_string_equal(net_mode_name(NET_MODE_SHARED), "shared");
    assert_string_equal(net_mode_name(NET_MODE_HOST), "host");
    assert_int_equal(net_mode_parse("host", &mode), 0);
    assert_int_equal(mode, NET_MODE_HOST);
    assert_int_equal(net_mode_parse("bridged", &mode), -EINVAL);
    assert_int_equal(mode, NET_MODE_HOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_reaches_the_internet),
        cmocka_unit_test(host_has_no_way_out),
        cmocka_unit_test(other_names_are_unknown_or_malformed_and_change_nothing),
        cmocka_unit_test(a_name_is_one_dns_label),
        cmocka_unit_test(the_networks_own_names_are_reserved),
        cmocka_unit_test(modes_have_names),
    };
    return cmocka_run_group_tests_name("net_def", tests, NULL, NULL);
}
