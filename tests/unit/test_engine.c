/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "addr.h"
#include "engine.h"
#include "mem.h"
#include "names.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool have(const char *path)
{
    return access(path, X_OK) == 0;
}

/* The position of arg in the command line, or -1. */
static int find(const struct engine_argv *a, const char *arg)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->argv[i], arg) == 0)
            return (int)i;
    return -1;
}

static bool follows(const struct engine_argv *a, const char *option, const char *value)
{
    for (size_t i = 0; i + 1 < a->n; i++)
        if (strcmp(a->argv[i], option) == 0 && strcmp(a->argv[i + 1], value) == 0)
            return true;
    return false;
}

static const struct engine_way way = { .interface = "", .anchor = 4711, .userns = 5, .netns = 6 };

static void compose_for(enum child_kind kind, unsigned slot, const char *interface, uid_t uid,
                        struct engine_argv *a)
{
    struct engine_way by = way;

    if (!have(kind == CHILD_PASTA ? "/usr/bin/pasta" : "/usr/bin/slirp4netns"))
        skip();
    by.slot = slot;
    by.interface = interface;
    assert_int_equal(engine_argv(kind, &by, uid, a), 0);
    assert_true(a->n < N_ELEMENTS(a->argv) - 1); /* room was left: nothing was cut off */
    assert_null(a->argv[a->n]);
    assert_string_equal(a->argv[0], a->path);
}

static void compose(enum child_kind kind, uid_t uid, struct engine_argv *a)
{
    compose_for(kind, 0, "", uid, a);
}

static void pasta_opens_no_door_of_the_host_or_the_namespace(void **unused)
{
    static const char *const closed[] = { "--tcp-ports", "--udp-ports", "--tcp-ns", "--udp-ns" };
    struct engine_argv a;

    (void)unused;
    compose(CHILD_PASTA, 1000, &a);
    for (size_t i = 0; i < N_ELEMENTS(closed); i++)
        assert_true(follows(&a, closed[i], "none"));
    assert_true(find(&a, "--no-map-gw") > 0);
    assert_true(find(&a, "--config-net") < 0);
}

static void pasta_joins_the_anchor(void **unused)
{
    struct engine_argv a;

    (void)unused;
    compose(CHILD_PASTA, 1000, &a);
    assert_true(follows(&a, "--userns", "/proc/4711/ns/user"));
    assert_true(follows(&a, "--netns", "/proc/4711/ns/net"));
    assert_true(find(&a, "--runas") < 0);
}

static void pasta_enters_the_rest_where_it_is_another_user(void **unused)
{
    struct engine_way by = way;
    struct engine_argv a;

    (void)unused;
    if (!have("/usr/bin/pasta"))
        skip();
    by.inside = true;
    assert_int_equal(engine_argv(CHILD_PASTA, &by, 1000, &a), 0);
    assert_true(find(&a, "--netns-only") > 0);
    assert_true(find(&a, "--userns") < 0);
    assert_true(follows(&a, "--netns", "/proc/4711/ns/net"));
}

static void pasta_stays_root_when_started_by_root(void **unused)
{
    struct engine_argv a;

    (void)unused;
    compose(CHILD_PASTA, 0, &a);
    assert_true(follows(&a, "--runas", "0:0"));
}

static void slirp4netns_keeps_away_from_the_hosts_loopback(void **unused)
{
    struct engine_argv a;

    (void)unused;
    compose(CHILD_SLIRP4NETNS, 1000, &a);
    assert_true(find(&a, "--disable-host-loopback") > 0);
    assert_true(find(&a, "--configure") < 0);
    assert_true(follows(&a, "--ready-fd", "3"));
    assert_true(find(&a, "--enable-seccomp") > 0);
    assert_true(follows(&a, "--userns-path", "/proc/self/fd/5"));
    assert_string_equal(a.argv[a.n - 2], "/proc/self/fd/6");
    assert_string_equal(a.argv[a.n - 1], "uplink");
}

/* What the TAP gets and what the command lines say must be the same. */
static void the_command_line_names_the_addresses_of_the_tap(void **unused)
{
    struct engine_addresses at;
    char four[ADDR4_TEXT], six[ADDR6_TEXT];
    struct engine_argv a;

    (void)unused;
    for (unsigned slot = 0; slot < UPLINKS_MAX; slot++) {
        compose_for(CHILD_PASTA, slot, slot ? "eth7" : "", 1000, &a);
        engine_addresses(slot, &at);
        assert_true(follows(&a, "--address", addr4_format(at.ipv4, four)));
        assert_true(follows(&a, "--gateway", addr4_format(at.ipv4_gateway, four)));
        assert_true(follows(&a, "--address", addr6_format(at.ipv6, six)));
        assert_true(follows(&a, "--gateway", addr6_format(at.ipv6_gateway, six)));
        assert_true(follows(&a, "--ns-ifname", uplink_link(slot)));
        assert_true(follows(&a, "--mtu", "1500"));
    }
}

static void no_two_uplinks_have_an_address_in_common(void **unused)
{
    struct engine_addresses one, two;

    (void)unused;
    for (unsigned i = 0; i < UPLINKS_MAX; i++)
        for (unsigned k = 0; k < i; k++) {
            engine_addresses(i, &one);
            engine_addresses(k, &two);
            assert_int_not_equal(one.ipv4 >> 8, two.ipv4 >> 8);
            assert_memory_not_equal(one.ipv6, two.ipv6, 8);
            assert_string_not_equal(uplink_link(i), uplink_link(k));
        }
}

static void pasta_is_told_the_interface_of_the_host(void **unused)
{
    struct engine_argv a;

    (void)unused;
    compose(CHILD_PASTA, 1000, &a);
    assert_true(find(&a, "--interface") < 0);
    compose_for(CHILD_PASTA, 1, "eth7", 1000, &a);
    assert_true(follows(&a, "--interface", "eth7"));
    assert_true(follows(&a, "--outbound-if4", "eth7"));
    assert_true(follows(&a, "--outbound-if6", "eth7"));
}

/* Not silently without it. */
static void slirp4netns_cannot_be_told_an_interface(void **unused)
{
    const struct engine_way by = { .slot = 1, .interface = "eth7", .anchor = 4711 };
    const struct engine_way path = { .slot = 1, .interface = "../eth7", .anchor = 4711 };
    const struct engine *engine = NULL;
    const char *why = NULL;
    struct engine_argv a;

    (void)unused;
    assert_int_equal(engine_argv(CHILD_SLIRP4NETNS, &by, 1000, &a), -EINVAL);
    assert_int_equal(engine_argv(CHILD_PASTA, &path, 1000, &a), -EINVAL);
    assert_int_equal(setenv("VMNET_BROKER_UPLINK_ENGINE", "slirp4netns", 1), 0);
    if (engine_choose(-1, true, &engine, &why) == 0)
        assert_int_equal(engine->kind, CHILD_PASTA);
    assert_non_null(why);
}

static void other_children_are_no_engines(void **unused)
{
    struct engine_argv a;

    (void)unused;
    assert_null(engine_of(CHILD_DNSMASQ));
    assert_null(engine_of(CHILD_RELAY));
    assert_int_equal(engine_argv(CHILD_DNSMASQ, &way, 1000, &a), -EINVAL);
}

static int choose(const char *demand, const struct engine **ret)
{
    const char *why = NULL;
    int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(sock >= 0);
    assert_int_equal(setenv("VMNET_BROKER_UPLINK_ENGINE", demand, 1), 0);
    int r = engine_choose(sock, false, ret, &why);
    (void)close(sock);
    assert_non_null(why); /* in either case there is something to say */
    return r;
}

static void the_environment_chooses(void **unused)
{
    const struct engine *engine = NULL;

    (void)unused;
    if (!have("/usr/bin/pasta") || !have("/usr/bin/slirp4netns"))
        skip();
    assert_int_equal(choose("slirp4netns", &engine), 0);
    assert_string_equal(engine->name, "slirp4netns");
    assert_int_equal(choose("pasta", &engine), 0);
    assert_string_equal(engine->name, "pasta");
    assert_int_equal(choose("", &engine), 0);
}

static void the_environment_cannot_name_any_other_program(void **unused)
{
    const struct engine *engine = NULL;

    (void)unused;
    assert_int_equal(choose("../bin/sh", &engine), -ENOENT);
    assert_int_equal(choose("/bin/sh", &engine), -ENOENT);
    assert_null(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pasta_opens_no_door_of_the_host_or_the_namespace),
        cmocka_unit_test(pasta_joins_the_anchor),
        cmocka_unit_test(pasta_enters_the_rest_where_it_is_another_user),
        cmocka_unit_test(pasta_stays_root_when_started_by_root),
        cmocka_unit_test(slirp4netns_keeps_away_from_the_hosts_loopback),
        cmocka_unit_test(the_command_line_names_the_addresses_of_the_tap),
        cmocka_unit_test(no_two_uplinks_have_an_address_in_common),
        cmocka_unit_test(pasta_is_told_the_interface_of_the_host),
        cmocka_unit_test(slirp4netns_cannot_be_told_an_interface),
        cmocka_unit_test(other_children_are_no_engines),
        cmocka_unit_test(the_environment_chooses),
        cmocka_unit_test(the_environment_cannot_name_any_other_program),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
