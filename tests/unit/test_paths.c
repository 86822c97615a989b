/* SPDX-License-Identifier: Apache-2.0 */
/* Where things live, for each environment a process may find itself in. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "def_dir.h"
#include "mem.h"
#include "paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const variables[] = { "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HOME",
                                         "VMNET_BROKER_SOCKET" };

static int forget_environment(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(variables); i++)
        unsetenv(variables[i]);
    return 0;
}

static const struct user_case {
    const char *what;
    const char *runtime_env, *state_env, *home;
    const char *runtime, *state; /* runtime NULL: /tmp/vmnet-broker-UID */
    int err;
} user_cases[] = {
    { "a desktop session", "/run/user/7", NULL, "/home/a", "/run/user/7/vmnet-broker",
      "/home/a/.local/state/vmnet-broker", 0 },
    { "an explicit state directory", "/run/user/7", "/data", "/home/a", "/run/user/7/vmnet-broker",
      "/data/vmnet-broker", 0 },
    { "no session", NULL, NULL, "/home/a", NULL, "/home/a/.local/state/vmnet-broker", 0 },
    { "relative paths count as unset", "run", "state", "/home/a", NULL,
      "/home/a/.local/state/vmnet-broker", 0 },
    { "empty variables count as unset", "", "", "/home/a", NULL,
      "/home/a/.local/state/vmnet-broker", 0 },
    { "without a home a client still learns the runtime directory", "/run/user/7", NULL, NULL,
      "/run/user/7/vmnet-broker", "", -ENOENT },
};

static void set(const char *name, const char *value)
{
    if (value)
        assert_int_equal(setenv(name, value, 1), 0);
    else
        unsetenv(name);
}

static void user_paths_follow_the_environment(void **unused)
{
    (void)unused;
    char tmp[64];
    snprintf(tmp, sizeof tmp, "/tmp/vmnet-broker-%u", (unsigned)geteuid());
    for (size_t i = 0; i < N_ELEMENTS(user_cases); i++) {
        const struct user_case *c = &user_cases[i];
        struct paths p;
        set("XDG_RUNTIME_DIR", c->runtime_env);
        set("XDG_STATE_HOME", c->state_env);
        set("HOME", c->home);
        int r = paths_user(&p);
        if (r != c->err || strcmp(p.runtime, c->runtime ? c->runtime : tmp) != 0 ||
            strcmp(p.state, c->state) != 0)
            fail_msg("%s: %d %s %s", c->what, r, p.runtime, p.state);
    }
}

static const char *definitions(const char *config_dir, bool system)
{
    static char user[256], text[600];
    struct def_dirs dirs = { .owner = 7 };
    paths_definitions(config_dir, system, user, sizeof user, &dirs);
    assert_int_equal(dirs.owner, 7);
    assert_int_equal(def_dirs_format(&dirs, text, sizeof text), 0);
    return text;
}

static void definitions_are_the_users_own_before_the_systems(void **unused)
{
    (void)unused;
    set("HOME", "/home/a");
    set("XDG_CONFIG_HOME", NULL);
    assert_string_equal(definitions(NULL, false), "/home/a/.config/vmnet-broker.d/NAME.json or "
                                                  "/etc/vmnet-broker.d/NAME.json");
    set("XDG_CONFIG_HOME", "/x");
    assert_string_equal(definitions(NULL, false), "/x/vmnet-broker.d/NAME.json or "
                                                  "/etc/vmnet-broker.d/NAME.json");
    assert_string_equal(definitions(NULL, true), "/etc/vmnet-broker.d/NAME.json");
    assert_string_equal(definitions("/y", false), "/y/NAME.json");
    set("XDG_CONFIG_HOME", "relative");
    set("HOME", NULL);
    assert_string_equal(definitions(NULL, false), "/etc/vmnet-broker.d/NAME.json");
}

static void a_runtime_directory_whose_socket_would_not_fit_is_refused(void **unused)
{
    (void)unused;
    char longest[107 - sizeof "/vmnet-broker/broker.sock" + 2 + 1];
    struct paths p;
    memset(longest, 'x', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    set("HOME", "/home/a");

    set("XDG_RUNTIME_DIR", longest + 1); /* relative now, so it does not matter */
    assert_int_equal(paths_user(&p), 0);
    longest[sizeof longest - 2] = '\0';
    set("XDG_RUNTIME_DIR", longest);
    assert_int_equal(paths_user(&p), 0);
    assert_int_equal(strlen(p.runtime) + strlen("/broker.sock"), 107);
    longest[sizeof longest - 2] = 'x';
    set("XDG_RUNTIME_DIR", longest);
    assert_int_equal(paths_user(&p), -ENAMETOOLONG);
}

static void the_override_is_for_clients_and_never_for_netd(void **unused)
{
    (void)unused;
    struct paths p;
    char socket[108], small[8];
    paths_system_netd(&p);
    assert_string_equal(p.state, "/var/lib/vmnet-netd");
    assert_int_equal(paths_netd_socket(&p, socket, sizeof socket), 0);
    assert_string_equal(socket, "/run/vmnet-netd/netd.sock");
    paths_system(&p);
    assert_string_equal(p.state, "/var/lib/vmnet-broker");
    assert_int_equal(paths_broker_socket(&p, socket, sizeof socket), 0);
    assert_string_equal(socket, "/run/vmnet-broker/broker.sock");

    set("VMNET_BROKER_SOCKET", "");
    assert_null(paths_socket_override());
    set("VMNET_BROKER_SOCKET", "/x/y.sock");
    assert_int_equal(paths_broker_socket(&p, socket, sizeof socket), 0);
    assert_string_equal(socket, "/x/y.sock");
    assert_int_equal(paths_own_socket(&p, socket, sizeof socket), 0);
    assert_string_equal(socket, "/run/vmnet-broker/broker.sock");
    assert_int_equal(paths_netd_socket(&p, socket, sizeof socket), 0);
    assert_string_equal(socket, "/run/vmnet-netd/netd.sock");
    assert_int_equal(paths_broker_socket(&p, small, sizeof small), -ENAMETOOLONG);
    assert_string_equal(small, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(user_paths_follow_the_environment, forget_environment),
        cmocka_unit_test_setup(definitions_are_the_users_own_before_the_systems,
                               forget_environment),
        cmocka_unit_test_setup(a_runtime_directory_whose_socket_would_not_fit_is_refused,
                               forget_environment),
        cmocka_unit_test_setup(the_override_is_for_clients_and_never_for_netd, forget_environment),
    };
    return cmocka_run_group_tests_name("paths", tests, NULL, NULL);
}
