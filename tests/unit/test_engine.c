/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "addr.h"
#include "engine.h"
#include "mem.h"

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

static const struct engine_way way = { 4711, 5, 6 };

static void compose(enum child_kind kind, uid_t uid, struct engine_argv *a)
{
    if (!have(kind == CHILD_PASTA ? "/usr/bin/pasta" : "/usr/bin/slirp4netns"))
        skip();
    assert_int_equal(engine_argv(kind, &way, uid, a), 0);
    assert_true(a->n < N_ELEMENTS(a->argv) - 1); /* room was left: nothing was cut off */
    assert_null(a->argv[a->n]);
    assert_string_equal(a->argv[0], a->path);
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
    const struct engine *pasta = engine_of(CHILD_PASTA);
    char four[ADDR4_TEXT], six[ADDR6_TEXT];
    struct engine_argv a;

    (void)unused;
    compose(CHILD_PASTA, 1000, &a);
    assert_true(follows(&a, "--address", addr4_format(pasta->ipv4, four)));
    assert_true(follows(&a, "--gateway", addr4_format(pasta->ipv4_gateway, four)));
    assert_true(follows(&a, "--address", addr6_format(pasta->ipv6_addr, six)));
    assert_true(follows(&a, "--gateway", addr6_format(pasta->ipv6_gateway, six)));
    assert_true(follows(&a, "--mtu", "1500"));
}

static void both_engines_are_addressed_alike(void **unused)
{
    const struct engine *a = engine_of(CHILD_PASTA), *b = engine_of(CHILD_SLIRP4NETNS);

    (void)unused;
    assert_int_equal(a->ipv4, b->ipv4);
    assert_int_equal(a->ipv4_gateway, b->ipv4_gateway);
    assert_memory_equal(a->ipv6_addr, b->ipv6_addr, 16);
    assert_memory_equal(a->ipv6_gateway, b->ipv6_gateway, 16);
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
    int r = engine_choose(sock, ret, &why);
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
        cmocka_unit_test(pasta_stays_root_when_started_by_root),
        cmocka_unit_test(slirp4netns_keeps_away_from_the_hosts_loopback),
        cmocka_unit_test(the_command_line_names_the_addresses_of_the_tap),
        cmocka_unit_test(both_engines_are_addressed_alike),
        cmocka_unit_test(other_children_are_no_engines),
        cmocka_unit_test(the_environment_chooses),
        cmocka_unit_test(the_environment_cannot_name_any_other_program),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
