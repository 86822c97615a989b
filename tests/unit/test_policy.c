/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof *(a))

static const struct policy policy = { .owner = 990,
                                      .limits = { .connections = 3,
                                                  .networks = 2,
                                                  .interfaces = 8,
                                                  .queues = 20,
                                                  .waiting = 5,
                                                  .watchers = 6,
                                                  .forwards = 28,
                                                  .all_connections = 100 } };

static int may_connect(uid_t uid, unsigned has, struct failure *failure)
{
    return policy_may_connect(&policy, uid, has, has, failure);
}

static int may_hold(uid_t uid, unsigned has, struct failure *failure)
{
    return policy_may_hold(&policy, uid, has, failure);
}

static int may_start(uid_t uid, unsigned has, struct failure *failure)
{
    return policy_may_start(&policy, uid, has, 1, failure);
}

static int may_have_queues(uid_t uid, unsigned has, struct failure *failure)
{
    return policy_may_start(&policy, uid, 0, has + 1, failure);
}

static int may_wait(uid_t uid, unsigned has, struct failure *failure)
{
    return policy_may_wait(&policy, uid, has, failure);
}

static int may_watch(uid_t uid, unsigned has, struct failure *failure)
{
    return policy_may_watch(&policy, uid, has, failure);
}

static int may_forward(uid_t uid, unsigned has, struct failure *failure)
{
    return policy_may_forward(&policy, uid, has, failure);
}

static int may_be_one_of_all(uid_t uid, unsigned has, struct failure *failure)
{
    return policy_may_connect(&policy, uid, 0, has, failure);
}

static void a_limit_lets_in_up_to_it_and_then_says_who_how_many_and_the_remedy(void **unused)
{
    static const struct {
        int (*may)(uid_t, unsigned, struct failure *);
        uid_t uid;
        unsigned max;
        const char *words, *remedy;
    } cases[] = {
        { may_connect, 1000, 3, "uid 1000 has 3 connections", "end programs" },
        { may_hold, 1000, 2, "uid 1000 has 2 networks", "release one" },
        { may_start, 1000, 4, "uid 1000 has 4 interfaces", "end a VM" },
        { may_start, 0, 8, "uid 0 has 8 interfaces", "end a VM" },
        { may_start, 990, 8, "uid 990 has 8 interfaces", "end a VM" },
        { may_have_queues, 1000, 20, "uid 1000 would have 21 queues", "ask for fewer" },
        { may_wait, 1000, 5, "uid 1000 has 5 requests", "try again" },
        { may_watch, 1000, 6, "uid 1000 has 6 connections that monitor", "end one" },
        { may_forward, 1000, 7, "uid 1000 has 7 forwarded ports", "remove one" },
        { may_forward, 0, 28, "uid 0 has 28 forwarded ports", "remove one" },
        { may_forward, 990, 28, "uid 990 has 28 forwarded ports", "remove one" },
        { may_be_one_of_all, 1000, 100, "100 programs", "RLIMIT_NOFILE" },
        { may_be_one_of_all, 0, 100 + POLICY_RESERVED, "116 programs", "RLIMIT_NOFILE" },
        { may_be_one_of_all, 990, 100 + POLICY_RESERVED, "116 programs", "RLIMIT_NOFILE" },
    };
    (void)unused;
    for (size_t i = 0; i < N(cases); i++) {
        struct failure failure = { 0 };
        assert_int_equal(cases[i].may(cases[i].uid, 0, &failure), 0);
        assert_int_equal(cases[i].may(cases[i].uid, cases[i].max - 1, &failure), 0);
        assert_int_equal(cases[i].may(cases[i].uid, cases[i].max, &failure), -EDQUOT);
        assert_int_equal(failure.err, -EDQUOT);
        assert_int_equal(status_from_errno(failure.err), STATUS_NOT_ALLOWED);
        if (!strstr(failure.why, cases[i].words) || !strstr(failure.why, cases[i].remedy))
            fail_msg("'%s' lacks '%s' or '%s'", failure.why, cases[i].words, cases[i].remedy);
    }
}

/* Whatever the broker may have: everybody's connections leave it something, and no user
 * alone takes what the others need. */
static void no_user_can_have_all_descriptors(void **unused)
{
    static const unsigned long files[] = { 0,    1,    50,     255,     256,      257,
                                           1024, 4096, 524288, 1048576, ULONG_MAX };
    (void)unused;
    for (size_t i = 0; i < N(files); i++) {
        struct policy_limits limits = policy_limits_for(files[i]);
        if (files[i] > 0 && limits.all_connections >= files[i])
            fail_msg("%lu files: %u connections", files[i], limits.all_connections);
        if (limits.connections > POLICY_CONNECTIONS || limits.queues > POLICY_QUEUES)
            fail_msg("%lu files: more than the defaults", files[i]);
        if (limits.connections > files[i] / 4 || limits.queues > files[i] / 4)
            fail_msg("%lu files: more than a quarter", files[i]);
        if (limits.connections > limits.all_connections / 2)
            fail_msg("%lu files: one user has %u of %u connections", files[i], limits.connections,
                     limits.all_connections);
    }
    assert_int_equal(policy_limits_for(1024).connections, 224);
    assert_int_equal(policy_limits_for(4096).connections, POLICY_CONNECTIONS);
    assert_int_equal(policy_limits_for(ULONG_MAX).queues, POLICY_QUEUES);
}

static void one_leads_ports_to_what_is_ones_own(void **unused)
{
    struct forward_target target = { .live = true, .uid = 1000 };
    struct failure failure = { 0 };
    (void)unused;
    assert_int_equal(policy_may_lead_to(&policy, 1000, &target, &failure), 0);
    assert_int_equal(policy_may_lead_to(&policy, 1001, &target, &failure), -EPERM);
    assert_non_null(strstr(failure.why, "another user's"));
    target = (struct forward_target){ .uid = 1000 }; /* it may be anybody's tomorrow */
    assert_int_equal(policy_may_lead_to(&policy, 1000, &target, &failure), -EPERM);
    assert_non_null(strstr(failure.why, "no VM is there"));
    assert_int_equal(policy_may_lead_to(&policy, 0, &target, &failure), 0);
    assert_int_equal(policy_may_lead_to(&policy, 990, &target, &failure), 0);
}

static void ports_of_root_are_opened_for_root_and_the_owner(void **unused)
{
    struct failure failure = { 0 };
    (void)unused;
    assert_int_equal(policy_may_open_port(&policy, 1000, 1024, &failure), 0);
    assert_int_equal(policy_may_open_port(&policy, 1000, 1023, &failure), -EPERM);
    assert_non_null(strstr(failure.why, "port 1023 of the host is for root only"));
    assert_int_equal(policy_may_open_port(&policy, 0, 80, &failure), 0);
    assert_int_equal(policy_may_open_port(&policy, 990, 80, &failure), 0);
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

static int only_group_vmnet(const char *name, gid_t *ret)
{
    if (strcmp(name, "vmnet") != 0)
        return -ENOENT;
    *ret = 77;
    return 0;
}

static int nobody(const char *name, uid_t *ret)
{
    (void)name;
    (void)ret;
    return -ENOENT;
}

static void by_default_members_of_the_group_and_root_may_use_the_systems_networks(void **unused)
{
    const struct policy usual = { .accounts = { .user = nobody, .group = only_group_vmnet } };
    static gid_t groups[] = { 12, 77 };
    const struct peer_cred root = { .uid = 0 }, primary = { .uid = 4000, .gid = 77 },
                           member = { .uid = 4001, .gid = 4001, .groups = groups, .n_groups = 2 },
                           outsider = { .uid = 4002, .gid = 4002, .groups = groups, .n_groups = 1 };
    struct failure failure = { 0 };

    (void)unused;
    assert_int_equal(policy_may_use_usual(&usual, &root, &failure), 0);
    assert_int_equal(policy_may_use_usual(&usual, &primary, &failure), 0);
    assert_int_equal(policy_may_use_usual(&usual, &member, &failure), 0);
    assert_int_equal(policy_may_use_usual(&usual, &outsider, &failure), -EPERM);
    assert_non_null(strstr(failure.why, "4002"));
    assert_non_null(strstr(failure.why, "usermod -aG vmnet"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_lets_in_up_to_it_and_then_says_who_how_many_and_the_remedy),
        cmocka_unit_test(no_user_can_have_all_descriptors),
        cmocka_unit_test(one_leads_ports_to_what_is_ones_own),
        cmocka_unit_test(ports_of_root_are_opened_for_root_and_the_owner),
        cmocka_unit_test(one_sees_oneself_and_owner_and_root_see_all),
        cmocka_unit_test(only_owner_and_root_stop_the_broker),
        cmocka_unit_test(by_default_members_of_the_group_and_root_may_use_the_systems_networks),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
