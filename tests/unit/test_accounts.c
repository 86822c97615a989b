/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups by name or number, against what every Unix has. */
#include "accounts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOBODY_HAS 4294967000u

static void a_user_is_found_by_name_and_by_number(void **state)
{
    uid_t uid = 7;
    (void)state;
    assert_int_equal(account_user("root", &uid), 0);
    assert_int_equal(uid, 0);
    assert_int_equal(account_user("4294967000", &uid), 0);
    assert_int_equal(uid, NOBODY_HAS);
}

static void a_name_that_nobody_has_is_not_found(void **state)
{
    uid_t uid = 7;
    gid_t gid = 7;
    (void)state;
    assert_int_equal(account_user("no such user", &uid), -ENOENT);
    assert_int_equal(account_group("no such group", &gid), -ENOENT);
    assert_int_equal(account_user("4294967295", &uid), -ENOENT); /* the kernel's "none" */
    assert_int_equal(uid, 7);
    assert_int_equal(gid, 7);
}

static void a_user_that_no_service_knows_has_its_primary_group(void **state)
{
    gid_t *groups = NULL;
    unsigned n = 0;
    (void)state;
    assert_int_equal(account_groups(NOBODY_HAS, 42, &groups, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(groups[0], 42);
    free(groups);
}

static void a_users_groups_begin_with_the_primary_one(void **state)
{
    gid_t *groups = NULL;
    unsigned n = 0;
    (void)state;
    assert_int_equal(account_groups(0, 0, &groups, &n), 0);
    assert_true(n >= 1);
    assert_int_equal(groups[0], 0);
    free(groups);
}

static void who_has_no_name_is_called_by_number(void **state)
{
    char text[ACCOUNT_NAME_SIZE];
    (void)state;
    assert_string_equal(account_user_name(0, text), "root");
    assert_string_equal(account_user_name(NOBODY_HAS, text), "4294967000");
    assert_string_equal(account_group_name(NOBODY_HAS, text), "4294967000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_is_found_by_name_and_by_number),
        cmocka_unit_test(a_name_that_nobody_has_is_not_found),
        cmocka_unit_test(a_user_that_no_service_knows_has_its_primary_group),
        cmocka_unit_test(a_users_groups_begin_with_the_primary_one),
        cmocka_unit_test(who_has_no_name_is_called_by_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
