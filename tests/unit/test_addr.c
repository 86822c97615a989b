/* SPDX-License-Identifier: Apache-2.0 */
#include "addr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof *(a))

static void good_addresses_read_and_write_as_the_same_text(void **unused)
{
    static const char *const four[] = { "0.0.0.0", "192.168.64.1", "255.255.255.255" };
    static const char *const nets[] = { "192.168.64.0/24", "10.0.0.0/8", "1.2.3.4/32",
                                        "128.0.0.0/1", "192.168.255.252/30" };
    static const char *const six[] = { "::", "::1", "fd00:42::1", "2001:db8::ffff" };
    static const char *const prefixes[] = { "fd00:42::/64", "fe80::/10", "2001:db8::1/128",
                                            "8000::/1" };
    (void)unused;
    for (size_t i = 0; i < N(four); i++) {
        uint32_t a;
        assert_int_equal(addr4_parse(four[i], &a), 0);
        assert_string_equal(addr4_format(a, (char[ADDR4_TEXT]){ 0 }), four[i]);
    }
    for (size_t i = 0; i < N(nets); i++) {
        struct subnet4 s;
        assert_int_equal(subnet4_parse(nets[i], &s), 0);
        assert_string_equal(subnet4_format(s, (char[SUBNET4_TEXT]){ 0 }), nets[i]);
    }
    for (size_t i = 0; i < N(six); i++) {
        uint8_t a[16];
        assert_int_equal(addr6_parse(six[i], a), 0);
        assert_string_equal(addr6_format(a, (char[ADDR6_TEXT]){ 0 }), six[i]);
    }
    for (size_t i = 0; i < N(prefixes); i++) {
        struct prefix6 p;
        assert_int_equal(prefix6_parse(prefixes[i], &p), 0);
        assert_string_equal(prefix6_format(&p, (char[PREFIX6_TEXT]){ 0 }), prefixes[i]);
    }
}

static void bad_addresses_are_refused_and_leave_the_result_alone(void **unused)
{
    static const char *const four[] = { "",          "1",        "1.2.3",    "1.2.3.4.5",
                                        "256.1.1.1", " 1.2.3.4", "1.2.3.4 ", "01.2.3.4",
                                        "1.2.3.0x4", "::1" };
    static const char *const nets[] = { "",
                                        "192.168.64.0",
                                        "192.168.64.1/24",
                                        "192.168.64.0/33",
                                        "0.0.0.0/0",
                                        "192.168.64.0/",
                                        "192.168.64.0/024",
                                        "192.168.64.0/24 ",
                                        "192.168.64.0/+24",
                                        "/24",
                                        "192.168.64.0/24/24",
                                        "1111111111111111111/8" };
    static const char *const six[] = { "", ":::", "fd00", "1.2.3.4", "fd00::1%eth0", "g::" };
    static const char *const prefixes[] = { "fd00::",     "fd00::1/64",        "::/0",
                                            "fd00::/129", "fd00:0:0:0:1::/64", "10.0.0.0/8" };
    (void)unused;
    for (size_t i = 0; i < N(four); i++) {
        uint32_t a = 7;
        if (addr4_parse(four[i], &a) != -EINVAL || a != 7)
            fail_msg("took '%s'", four[i]);
    }
    for (size_t i = 0; i < N(nets); i++) {
        struct subnet4 s = { 7, 7 };
        if (subnet4_parse(nets[i], &s) != -EINVAL || s.base != 7 || s.prefix != 7)
            fail_msg("took '%s'", nets[i]);
    }
    for (size_t i = 0; i < N(six); i++) {
        uint8_t a[16] = { 7 };
        if (addr6_parse(six[i], a) != -EINVAL || a[0] != 7)
            fail_msg("took '%s'", six[i]);
    }
    for (size_t i = 0; i < N(prefixes); i++) {
        struct prefix6 p = { .len = 7 };
        if (prefix6_parse(prefixes[i], &p) != -EINVAL || p.len != 7)
            fail_msg("took '%s'", prefixes[i]);
    }
}

static struct subnet4 net(const char *text)
{
    struct subnet4 s;
    assert_int_equal(subnet4_parse(text, &s), 0);
    return s;
}

static uint32_t addr(const char *text)
{
    uint32_t a;
    assert_int_equal(addr4_parse(text, &a), 0);
    return a;
}

static void ranges_know_what_they_hold(void **unused)
{
    (void)unused;
    assert_int_equal(subnet4_mask(net("192.168.64.0/24")), 0xffffff00);
    assert_int_equal(subnet4_mask((struct subnet4){ 0 }), 0);
    assert_int_equal(subnet4_mask(net("1.2.3.4/32")), 0xffffffff);
    assert_true(subnet4_contains(net("10.0.0.0/8"), addr("10.255.0.1")));
    assert_false(subnet4_contains(net("10.0.0.0/8"), addr("11.0.0.0")));
    assert_true(subnet4_contains((struct subnet4){ 0 }, addr("11.0.0.0")));
    assert_int_equal(subnet4_gateway(net("192.168.64.0/24")), addr("192.168.64.1"));
    assert_int_equal(subnet4_host(net("192.168.64.0/24")), addr("192.168.64.254"));
    assert_int_equal(subnet4_host(net("172.16.0.0/12")), addr("172.31.255.254"));
}

static void ranges_overlap_when_one_holds_the_other(void **unused)
{
    static const struct {
        const char *a, *b;
        bool overlap;
    } cases[] = {
        { "192.168.64.0/24", "192.168.64.0/24", true },
        { "192.168.64.0/24", "192.168.65.0/24", false },
        { "192.168.0.0/16", "192.168.65.0/24", true },
        { "192.168.64.128/25", "192.168.64.0/24", true },
        { "192.168.64.0/25", "192.168.64.128/25", false },
        { "0.0.0.0/1", "10.0.0.0/8", true },
        { "128.0.0.0/1", "10.0.0.0/8", false },
    };
    (void)unused;
    for (size_t i = 0; i < N(cases); i++)
        if (subnet4_overlaps(net(cases[i].a), net(cases[i].b)) != cases[i].overlap ||
            subnet4_overlaps(net(cases[i].b), net(cases[i].a)) != cases[i].overlap)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    assert_true(subnet4_overlaps((struct subnet4){ 0 }, net("10.0.0.0/8")));
}

static void the_router_is_the_prefixs_first_address(void **unused)
{
    struct prefix6 p;
    uint8_t gateway[16];
    (void)unused;
    assert_int_equal(prefix6_parse("fd12:3456:789a::/64", &p), 0);
    prefix6_gateway(&p, gateway);
    assert_string_equal(addr6_format(gateway, (char[ADDR6_TEXT]){ 0 }), "fd12:3456:789a::1");
}

static void the_host_is_the_prefixs_last_address_but_one(void **unused)
{
    const struct prefix6 wide = { { 0xfd, 0x12, [7] = 0x10 }, 60 };
    struct prefix6 p;
    uint8_t host[16];
    (void)unused;
    assert_int_equal(prefix6_parse("fd12:3456:789a::/64", &p), 0);
    prefix6_host(&p, host);
    assert_string_equal(addr6_format(host, (char[ADDR6_TEXT]){ 0 }),
                        "fd12:3456:789a:0:ffff:ffff:ffff:fffe");
    prefix6_host(&wide, host);
    assert_string_equal(addr6_format(host, (char[ADDR6_TEXT]){ 0 }),
                        "fd12::1f:ffff:ffff:ffff:fffe");
}

static void a_mac_gives_a_link_local_address(void **unused)
{
    struct mac mac;
    uint8_t addr[16];
    (void)unused;
    assert_int_equal(mac_parse("02:76:68:c0:a8:40", &mac), 0);
    mac_link_local(mac, addr);
    assert_string_equal(addr6_format(addr, (char[ADDR6_TEXT]){ 0 }), "fe80::76:68ff:fec0:a840");
}

static void macs_are_read_in_any_case_and_in_one_form_only(void **unused)
{
    static const char *const bad[] = { "",
                                       "52:54:00:12:34",
                                       "52:54:00:12:34:56:78",
                                       "52-54-00-12-34-56",
                                       "5254.0012.3456",
                                       "52:54:00:12:34:5",
                                       "52:54:00:12:34:5g",
                                       "52:54:00:12:34:567",
                                       "52:54" };
    struct mac m, other;
    (void)unused;
    assert_int_equal(mac_parse("52:54:00:Ab:cD:EF", &m), 0);
    assert_string_equal(mac_format(m, (char[MAC_TEXT]){ 0 }), "52:54:00:ab:cd:ef");
    other = m;
    assert_true(mac_equal(m, other));
    for (size_t i = 0; i < N(bad); i++)
        if (mac_parse(bad[i], &other) != -EINVAL || !mac_equal(m, other))
            fail_msg("took '%s'", bad[i]);
    other.b[5]++;
    assert_false(mac_equal(m, other));
}

static void only_unicast_macs_fit_a_vm(void **unused)
{
    struct mac m;
    (void)unused;
    assert_int_equal(mac_parse("52:54:00:00:00:01", &m), 0);
    assert_true(mac_is_unicast(m));
    assert_int_equal(mac_parse("53:54:00:00:00:01", &m), 0);
    assert_false(mac_is_unicast(m));
    assert_int_equal(mac_parse("ff:ff:ff:ff:ff:ff", &m), 0);
    assert_false(mac_is_unicast(m));
    assert_int_equal(mac_parse("00:00:00:00:00:00", &m), 0);
    assert_false(mac_is_unicast(m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_addresses_read_and_write_as_the_same_text),
        cmocka_unit_test(bad_addresses_are_refused_and_leave_the_result_alone),
        cmocka_unit_test(ranges_know_what_they_hold),
        cmocka_unit_test(ranges_overlap_when_one_holds_the_other),
        cmocka_unit_test(the_router_is_the_prefixs_first_address),
        cmocka_unit_test(the_host_is_the_prefixs_last_address_but_one),
        cmocka_unit_test(a_mac_gives_a_link_local_address),
        cmocka_unit_test(macs_are_read_in_any_case_and_in_one_form_only),
        cmocka_unit_test(only_unicast_macs_fit_a_vm),
    };
    return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
