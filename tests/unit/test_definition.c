/* SPDX-License-Identifier: Apache-2.0 */
#include "definition.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_has_its_place),
        cmocka_unit_test(a_mode_alone_is_what_is_built_in),
    };
    return cmocka_run_group_tests_name("definition", tests, NULL, NULL);
}
