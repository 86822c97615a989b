/* SPDX-License-Identifier: Apache-2.0 */
#include "definition.h"
#include "mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct definition *parse(const char *text)
{
    struct complaints complaints = { 0 };
    struct definition *definition = NULL;
    int r = definition_parse("lab", "lab.json", text, strlen(text), &definition, &complaints);
    if (r < 0)
        fail_msg("%s; %s", complaints.items[0].what, complaints.items[0].remedy);
    return definition;
}

static void every_key_has_its_place(void **unused)
{
    char text[ADDR6_TEXT];
    (void)unused;
    struct definition *d = parse(
        "{ \"description\": \"My testing network\", \"mode\": \"shared\","
        "  \"subnet\": \"192.168.42.1\", \"mask\": \"255.255.255.0\","
        "  \"ipv6_prefix\": \"fd00:42::\", \"ipv6_prefix_length\": 64,"
        "  \"external_interface\": \"eth0\", \"nat44\": false, \"nat66\": false, \"dhcp\": true,"
        "  \"dns_proxy\": false, \"router_advertisement\": false, \"mtu\": 9000,"
        "  \"dns_servers\": [ \"192.168.42.10\", \"fd00:42::53\" ], \"domain\": \"lab.example\","
        "  \"dhcp_reservations\": [ { \"mac\": \"52:54:00:00:00:01\","
        "    \"address\": \"192.168.42.10\", \"name\": \"web\" } ],"
        "  \"port_forwarding\": [ { \"protocol\": \"tcp\", \"external_port\": 8080,"
        "    \"address\": \"192.168.42.10\", \"internal_port\": 80 }, { \"protocol\": \"udp\","
        "    \"external_port\": 53, \"address\": \"fd00:42::53\", \"internal_port\": 53 } ],"
        "  \"allow\": { \"users\": [ \"alice\" ], \"groups\": [ \"vmnet\", \"1000\" ] },"
        "  \"uplink\": \"kernel\", \"anti_spoofing\": \"mac\", \"isolation\": true,"
        "  \"idle_timeout\": 60, \"persistent\": false }");
    assert_string_equal(d->description, "My testing network");
    assert_string_equal(d->net.name, "lab");
    assert_int_equal(d->net.mode, NET_MODE_SHARED);
    assert_int_equal(d->net.subnet.base, 0xc0a82a00);
    assert_int_equal(d->net.subnet.prefix, 24);
    assert_string_equal(addr6_format(d->net.prefix6.addr, text), "fd00:42::");
    assert_int_equal(d->net.prefix6.len, 64);
    assert_string_equal(d->net.external_interface, "eth0");
    assert_false(d->net.nat44 || d->net.nat66 || d->net.dns_proxy || d->net.router_advertisement);
    assert_true(d->net.dhcp && d->net.isolation);
    assert_int_equal(d->net.mtu, 9000);
    assert_int_equal(d->net.n_dns_servers, 2);
    assert_string_equal(address_format(&d->net.dns_servers[0], text), "192.168.42.10");
    assert_string_equal(address_format(&d->net.dns_servers[1], text), "fd00:42::53");
    assert_string_equal(d->net.domain, "lab.example");
    assert_int_equal(d->n_reservations, 1);
    assert_int_equal(d->reservations[0].ipv4, 0xc0a82a0a);
    assert_int_equal(d->reservations[0].mac.b[5], 1);
    assert_string_equal(d->reservations[0].name, "web");
    assert_int_equal(d->n_forwards, 2);
    assert_int_equal(d->forwards[0].protocol, FORWARD_TCP);
    assert_int_equal(d->forwards[0].external_port, 8080);
    assert_int_equal(d->forwards[0].internal_port, 80);
    assert_int_equal(d->forwards[1].protocol, FORWARD_UDP);
    assert_int_equal(d->forwards[1].address.version, 6);
    assert_true(d->allow.given);
    assert_int_equal(d->allow.n_users, 1);
    assert_string_equal(d->allow.users[0], "alice");
    assert_int_equal(d->allow.n_groups, 2);
    assert_string_equal(d->allow.groups[1], "1000");
    assert_int_equal(d->net.uplink, UPLINK_KERNEL);
    assert_int_equal(d->net.anti_spoofing, SPOOF_MAC);
    assert_int_equal(d->net.idle_timeout_sec, 60);
    assert_false(d->net.persistent);
    definition_unref(d);
}

static void a_mode_alone_is_what_is_built_in(void **unused)
{
    static const char *const modes[] = { "shared", "host" };
    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        char text[32];
        struct definition *file = NULL, *built_in = NULL;
        (void)snprintf(text, sizeof text, "{\"mode\": \"%s\"}", modes[i]);
        file = parse(text);
        assert_int_equal(definition_builtin(modes[i], &built_in), 0);
        assert_null(built_in->file);
        /* Both are called after their network. */
        assert_int_equal(definition_differs(file, built_in), 1u << KEY_DOMAIN);
        definition_unref(file);
        definition_unref(built_in);
    }
}

/* ---- what differs ---- */

#define FIXED "\"subnet\": \"10.0.0.1\", "

static const struct change {
    const char *before, *after;
    definition_keys differs;
} changes[] = {
    { "", "\"description\": \"x\"", 1u << KEY_DESCRIPTION },
    { "", "\"mtu\": 1500", 0 },
    { "", "\"mtu\": 1400", 1u << KEY_MTU },
    { "", "\"subnet\": \"192.168.42.1\"", 1u << KEY_SUBNET | 1u << KEY_MASK },
    { FIXED "\"mask\": \"255.255.255.0\"", "\"subnet\": \"10.0.0.0\"", 0 },
    { FIXED "\"mask\": \"255.255.255.0\"", FIXED "\"mask\": \"255.255.0.0\"", 1u << KEY_MASK },
    { "", "\"ipv6_prefix\": \"fd00::\"", 1u << KEY_IPV6_PREFIX | 1u << KEY_IPV6_PREFIX_LENGTH },
    { "", "\"external_interface\": \"eth0\"", 1u << KEY_EXTERNAL_INTERFACE },
    { "", "\"nat44\": false, \"nat66\": false, \"dhcp\": false",
      1u << KEY_NAT44 | 1u << KEY_NAT66 | 1u << KEY_DHCP },
    { "", "\"dns_proxy\": false", 1u << KEY_DNS_PROXY },
    { "", "\"dns_servers\": [ \"10.0.0.1\" ]", 1u << KEY_DNS_SERVERS },
    { "\"dns_servers\": [ \"10.0.0.2\" ]", "\"dns_servers\": [ \"10.0.0.1\" ]",
      1u << KEY_DNS_SERVERS },
    { "", "\"domain\": \"x\"", 1u << KEY_DOMAIN },
    { "", "\"domain\": \"lab.vmnet.internal\"", 0 },
    { "", "\"router_advertisement\": false", 1u << KEY_ROUTER_ADVERTISEMENT },
    { FIXED "\"mtu\": 1400",
      FIXED "\"mtu\": 1400, \"dhcp_reservations\": [ { \"mac\": "
            "\"52:54:00:00:00:01\", \"address\": \"10.0.0.2\" } ]",
      1u << KEY_DHCP_RESERVATIONS },
    { FIXED "\"dhcp_reservations\": [ { \"mac\": \"52:54:00:00:00:0a\", \"address\": "
            "\"10.0.0.2\", \"name\": \"web\" } ]",
      FIXED "\"dhcp_reservations\": [ { \"mac\": "
            "\"52:54:00:00:00:0A\", \"address\": \"10.0.0.2\", \"name\": \"web\" } ]",
      0 },
    { FIXED "\"dhcp_reservations\": [ { \"mac\": \"52:54:00:00:00:01\", \"address\": "
            "\"10.0.0.2\", \"name\": \"web\" } ]",
      FIXED "\"dhcp_reservations\": [ { \"mac\": "
            "\"52:54:00:00:00:01\", \"address\": \"10.0.0.2\", \"name\": \"db\" } ]",
      1u << KEY_DHCP_RESERVATIONS },
    { FIXED "\"port_forwarding\": [ { \"protocol\": \"tcp\", \"external_port\": 1, \"address\": "
            "\"10.0.0.2\", \"internal_port\": 1 } ]",
      FIXED "\"port_forwarding\": [ { "
            "\"protocol\": \"udp\", \"external_port\": 1, \"address\": \"10.0.0.2\", "
            "\"internal_port\": 1 } ]",
      1u << KEY_PORT_FORWARDING },
    { "", "\"allow\": { \"users\": [ \"alice\" ] }", 1u << KEY_ALLOW },
    { "\"allow\": { \"groups\": [ \"alice\" ] }", "\"allow\": { \"users\": [ \"alice\" ] }",
      1u << KEY_ALLOW },
    { "\"allow\": { \"users\": [ \"bob\" ] }", "\"allow\": { \"users\": [ \"alice\" ] }",
      1u << KEY_ALLOW },
    { "", "\"uplink\": \"user\", \"anti_spoofing\": \"off\"",
      1u << KEY_UPLINK | 1u << KEY_ANTI_SPOOFING },
    { "", "\"isolation\": true", 1u << KEY_ISOLATION },
    { "", "\"idle_timeout\": 5", 1u << KEY_IDLE_TIMEOUT },
    { "", "\"persistent\": true", 1u << KEY_PERSISTENT },
};

static struct definition *parse_shared(const char *members)
{
    char text[512];
    (void)snprintf(text, sizeof text, "{ \"mode\": \"shared\"%s%s }", members[0] ? ", " : "",
                   members);
    return parse(text);
}

static void a_change_is_one_of_meaning(void **unused)
{
    char got[512], wanted[512];
    (void)unused;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const struct change *c = &changes[i];
        struct definition *a = parse_shared(c->before), *b = parse_shared(c->after);
        assert_int_equal(definition_differs(a, a), 0);
        assert_string_equal(definition_keys_format(definition_differs(a, b), got, sizeof got),
                            definition_keys_format(c->differs, wanted, sizeof wanted));
        assert_int_equal(definition_differs(b, a), c->differs);
        definition_unref(a);
        definition_unref(b);
    }
}

static void names_of_keys_are_cut_between_two(void **unused)
{
    char text[16];
    definition_keys keys = 1u << KEY_MTU | 1u << KEY_MODE | 1u << KEY_PERSISTENT;
    (void)unused;
    assert_string_equal(definition_keys_format(keys, text, sizeof text), "mode, mtu");
    assert_string_equal(definition_keys_format(0, text, sizeof text), "");
}

static void a_definition_lives_as_long_as_its_last_reference(void **unused)
{
    (void)unused;
    struct definition *d = parse_shared("\"description\": \"mine\"");
    assert_ptr_equal(definition_ref(d), d);
    assert_null(definition_unref(d));
    assert_string_equal(d->description, "mine");
    assert_null(definition_unref(d));
    assert_null(definition_unref(NULL));
}

static void a_definition_knows_where_its_keys_are(void **unused)
{
    (void)unused;
    struct definition *d = parse("{ \"mode\": \"shared\",\n\n  \"subnet\": \"10.0.0.1\" }\n");
    assert_int_equal(d->given, 1u << KEY_MODE | 1u << KEY_SUBNET);
    assert_int_equal(d->key_at[KEY_SUBNET].line, 3);
    assert_int_equal(d->key_at[KEY_SUBNET].column, 13);
    assert_int_equal(d->key_at[KEY_MTU].line, 0);
    assert_string_equal(d->file, "lab.json");
    definition_unref(d);
}

/* ---- what collides ---- */

static void an_overlap_names_the_other_and_the_place(void **unused)
{
    struct taken_list taken = { 0 };
    struct complaints complaints = { 0 };
    struct definition *d = parse_shared("\"subnet\": \"192.168.42.17\", "
                                        "\"mask\": \"255.255.255.240\"");
    (void)unused;
    assert_int_equal(taken_add(&taken, (struct subnet4){ 0xc0a82a00, 28 }, "network 'a'"), 0);
    assert_int_equal(definition_check_overlap(d, &taken, &complaints), 0);
    assert_int_equal(taken_add(&taken, (struct subnet4){ 0xc0a82a18, 32 }, "network 'b'"), 0);
    assert_int_equal(definition_check_overlap(d, &taken, &complaints), -EADDRINUSE);
    assert_int_equal(complaints.n, 1);
    assert_string_equal(complaints.items[0].what,
                        "its subnet 192.168.42.16/28 conflicts with network 'b'");
    assert_int_equal(complaints.items[0].at.column, 31);
    taken_clear(&taken);
    definition_unref(d);
}

static void a_network_without_a_subnet_overlaps_nothing(void **unused)
{
    struct taken_list taken = { 0 };
    struct complaints complaints = { 0 };
    struct definition *d = parse_shared("");
    (void)unused;
    assert_int_equal(taken_add(&taken, (struct subnet4){ 0, 8 }, "all"), 0);
    assert_int_equal(definition_check_overlap(d, &taken, &complaints), 0);
    taken_clear(&taken);
    definition_unref(d);
}

static void prefixes_and_ports_collide_too(void **unused)
{
    static const char members[] =
        "\"subnet\": \"192.168.42.1\", \"ipv6_prefix\": \"fd00:42::\", \"port_forwarding\": [ "
        "{ \"protocol\": \"tcp\", \"external_port\": 80, \"address\": \"192.168.42.2\", "
        "\"internal_port\": 80 } ]";
    struct complaints complaints = { 0 };
    struct prefix6 other = { .len = 64 };
    struct definition *a = parse_shared(members), *b = parse_shared(members), *c = parse_shared("");
    (void)unused;
    assert_int_equal(definition_check_forwards(a, c, &complaints), 0);
    assert_int_equal(definition_check_forwards(c, a, &complaints), 0);
    assert_int_equal(definition_check_forwards(a, b, &complaints), -EADDRINUSE);
    assert_string_equal(complaints.items[0].what,
                        "TCP port 80 of the host is forwarded by network 'lab' too");
    assert_int_equal(addr6_parse("fd00:43::", other.addr), 0);
    assert_int_equal(definition_check_prefix(a, &other, "network 'b'", &complaints), 0);
    assert_int_equal(prefix6_parse("fd00::/16", &other), 0);
    assert_int_equal(definition_check_prefix(c, &other, "network 'b'", &complaints), 0);
    assert_int_equal(definition_check_prefix(a, &other, "network 'b'", &complaints), -EADDRINUSE);
    assert_string_equal(complaints.items[1].what,
                        "its prefix fd00:42::/64 conflicts with network 'b'");
    definition_unref(a);
    definition_unref(b);
    definition_unref(c);
}

/* ---- which addresses a VM can have ---- */

/* Counted, not computed: all addresses of the range but the first two and the last two. */
static bool slow_usable(uint32_t base, uint32_t size, uint32_t addr)
{
    for (uint32_t i = 2; i + 2 < size; i++)
        if (base + i == addr)
            return true;
    return false;
}

static void every_address_of_every_small_subnet_is_judged_rightly(void **unused)
{
    (void)unused;
    for (unsigned prefix = 26; prefix <= 29; prefix++) {
        uint32_t size = 1u << (32 - prefix), base = 0xc0a82a40;
        for (uint32_t addr = base - 3; addr < base + size + 3; addr++) {
            static struct complaints complaints;
            char text[300], gateway[ADDR4_TEXT], mask[ADDR4_TEXT], address[ADDR4_TEXT];
            struct definition *d = NULL;
            (void)snprintf(text, sizeof text,
                           "{\"mode\":\"shared\",\"subnet\":\"%s\",\"mask\":\"%s\","
                           "\"dhcp_reservations\":[{\"mac\":\"52:54:00:00:00:01\","
                           "\"address\":\"%s\"}]}",
                           addr4_format(base + 1, gateway),
                           addr4_format(UINT32_MAX << (32 - prefix), mask),
                           addr4_format(addr, address));
            complaints = (struct complaints){ 0 };
            int r = definition_parse("lab", "lab.json", text, strlen(text), &d, &complaints);
            if (r != (slow_usable(base, size, addr) ? 0 : -EBADMSG))
                fail_msg("%s in /%u", address, prefix);
            definition_unref(d);
        }
    }
}

/* ---- complaints ---- */

static void complaints_are_bounded_and_one_line_each(void **unused)
{
    struct complaints list = { 0 }, other = { 0 };
    char text[EXCERPT_SIZE], line[COMPLAINT_LINE];
    (void)unused;
    for (unsigned i = 0; i < COMPLAINTS_MAX + 5; i++)
        complaints_add(&list, (struct position){ COMPLAINTS_MAX - i, 1 }, "a\nb%c", 0x1b);
    complaints_remedy(&list, "for one that had no room");
    assert_int_equal(list.n, COMPLAINTS_MAX);
    assert_int_equal(list.left_out, 5);
    assert_string_equal(list.items[0].what, "a?b?");
    assert_string_equal(list.items[COMPLAINTS_MAX - 1].remedy, "");
    complaints_sort(&list);
    for (unsigned i = 1; i < COMPLAINTS_MAX; i++)
        assert_true(list.items[i - 1].at.line < list.items[i].at.line);
    assert_string_equal(complaint_format(&list.items[0], "x.json", line, sizeof line),
                        "x.json:1:1: a?b?");
    assert_string_equal(excerpt("short", text), "short");
    assert_string_equal(
        excerpt("0123456789012345678901234567890123456789012\xc3\xa4 and more", text),
        "0123456789012345678901234567890123456789012...");
    complaints_add(&other, (struct position){ 1, 1 }, "\xc3\xa4 \xe2\x82 \xff\xf0\x9f\x98");
    assert_string_equal(other.items[0].what, "\xc3\xa4 ?? ????");
}

/* NULL: what is wrong does not matter. */
static const struct policy_case {
    const char *text, *wrong;
    size_t users, groups;
} policy_cases[] = {
    { "{ \"allow\": { \"groups\": [ \"vmnet\", \"staff\" ] } }", NULL, 0, 2 },
    { "{ \"allow\": { \"users\": [ \"alice\" ], \"groups\": [ \"vmnet\" ] } }", NULL, 1, 1 },
    { "{}", "\"allow\" is missing", 0, 0 },
    { "{ \"allow\": {} }", "\"allow\" allows nobody", 0, 0 },
    { "{ \"allow\": true }", "\"allow\" must be an object", 0, 0 },
    { "{ \"mode\": \"shared\" }", "\"allow\" is missing", 0, 0 },
    { "[]", "must be an object", 0, 0 },
    { "{", "no JSON", 0, 0 },
};

static void the_general_policy_says_who_and_nothing_else(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(policy_cases); i++) {
        const struct policy_case *c = &policy_cases[i];
        struct complaints complaints = { 0 };
        struct definition *policy = NULL;
        int r = policy_parse("policy", "p.json", c->text, strlen(c->text), &policy, &complaints);

        if (r != (c->wrong ? -EBADMSG : 0))
            fail_msg("%s: %d", c->text, r);
        if (c->wrong && !strstr(complaints.items[0].what, c->wrong))
            fail_msg("%s: %s", c->text, complaints.items[0].what);
        if (r == 0) {
            assert_true(policy->allow.given);
            assert_int_equal(policy->allow.n_users, c->users);
            assert_int_equal(policy->allow.n_groups, c->groups);
        }
        definition_unref(policy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_general_policy_says_who_and_nothing_else),
        cmocka_unit_test(every_key_has_its_place),
        cmocka_unit_test(a_mode_alone_is_what_is_built_in),
        cmocka_unit_test(a_change_is_one_of_meaning),
        cmocka_unit_test(names_of_keys_are_cut_between_two),
        cmocka_unit_test(a_definition_lives_as_long_as_its_last_reference),
        cmocka_unit_test(a_definition_knows_where_its_keys_are),
        cmocka_unit_test(an_overlap_names_the_other_and_the_place),
        cmocka_unit_test(a_network_without_a_subnet_overlaps_nothing),
        cmocka_unit_test(prefixes_and_ports_collide_too),
        cmocka_unit_test(every_address_of_every_small_subnet_is_judged_rightly),
        cmocka_unit_test(complaints_are_bounded_and_one_line_each),
    };
    return cmocka_run_group_tests_name("definition", tests, NULL, NULL);
}
