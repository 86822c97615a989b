/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct policy policy = {
    .owner = 990, .max_peers = 3, .max_networks = 2, .max_interfaces = 4
};

typedef int (*limit)(const struct policy *, uid_t, unsigned, struct failure *);

static void a_limit_lets_in_up_to_it_and_then_says_who_and_how_many(void **unused)
{
    static const struct {
        limit may;
        unsigned max;
        const char *words;
    } cases[] = {
        { policy_may_connect, 3, "uid 1000 has 3 connections" },
        { policy_may_hold, 2, "uid 1000 has 2 networks" },
        { policy_may_start, 4, "uid 1000 has 4 interfaces" },
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct failure failure = { 0 };
        assert_int_equal(cases[i].may(&policy, 1000, 0, &failure), 0);
        assert_int_equal(cases[i].may(&policy, 1000, cases[i].max - 1, &failure), 0);
        assert_int_equal(cases[i].may(&policy, 1000, cases[i].max, &failure), -EDQUOT);
        assert_int_equal(failure.err, -EDQUOT);
        assert_int_equal(status_from_errno(failure.err), STATUS_NOT_ALLOWED);
        if (!strstr(failure.why, cases[i].words))
            fail_msg("'%s' lacks '%s'", failure.why, cases[i].words);
    }
}

static void one_sees_oneself_and_owner_and_root_see_all(void **unused)
{
    (void)unused;
    assert_true(policy_sees(&policy, 1000, 1000));
    assert_false(policy_sees(&policy, 1000, 1001));
    assert_false(policy_sees(&policy, 1000, 0));
    assert_true(policy_sees(&policy, 0, 1000));
    assert_true(policy_sees(&policy, 990, 1000));
    assert_true(policy_sees_all(&policy, 0));
    assert_true(policy_sees_all(&policy, 990));
    assert_false(policy_sees_all(&policy, 1000));
}

static void only_owner_and_root_stop_the_broker(void **unused)
{
    struct failure failure = { 0 };
    (void)unused;
    assert_int_equal(policy_may_stop(&policy, 0, &failure), 0);
    assert_int_equal(policy_may_stop(&policy, 990, &failure), 0);
    assert_int_equal(policy_may_stop(&policy, 1000, &failure), -EPERM);
    assert_non_null(strstr(failure.why, "uid 1000"));
    assert_non_null(strstr(failure.why, "uid 990"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_lets_in_up_to_it_and_then_says_who_and_how_many),
        cmocka_unit_test(one_sees_oneself_and_owner_and_root_see_all),
        cmocka_unit_test(only_owner_and_root_stop_the_broker),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
