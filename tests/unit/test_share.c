/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MSEC  UINT64_C(1000)
#define ALICE 1000
#define BOB   (ALICE + SHARE_LISTS) /* in the same list */

static void a_tenth_of_the_time_is_for_everybody(void **unused)
{
    struct time_share time = { 0 };
    uint64_t now = 7 * MSEC;
    (void)unused;
    for (unsigned i = 0; i < 10000; i++, now += MSEC) { /* 100 us in each millisecond */
        time_share_spend(&time, now, now + 100);
        assert_false(time_share_is_used_up(&time, now + 100));
    }
    for (unsigned i = 0; i < 100; i++, now += MSEC) /* twice that */
        time_share_spend(&time, now, now + 200);
    assert_true(time_share_is_used_up(&time, now));
}

static void what_was_spent_is_forgotten_and_the_worst_within_half_a_second(void **unused)
{
    struct time_share time = { 0 };
    (void)unused;
    time_share_spend(&time, 0, 6 * MSEC);
    assert_true(time_share_is_used_up(&time, 6 * MSEC));
    assert_true(time_share_is_used_up(&time, 15 * MSEC));
    assert_false(time_share_is_used_up(&time, 17 * MSEC));
    time_share_spend(&time, 100 * MSEC, 100000 * MSEC);
    assert_true(time_share_is_used_up(&time, 100400 * MSEC));
    assert_false(time_share_is_used_up(&time, 100500 * MSEC));
}

static void a_clock_that_stands_or_goes_back_costs_nobody_anything(void **unused)
{
    struct time_share time = { 0 };
    (void)unused;
    time_share_spend(&time, 5 * MSEC, 5 * MSEC);
    time_share_spend(&time, 5 * MSEC, 4 * MSEC);
    assert_false(time_share_is_used_up(&time, 3 * MSEC));
}

static unsigned length(const struct shares *shares)
{
    unsigned n = 0;
    const struct share *share;
    LIST_FOREACH (share, &shares->lists[ALICE % SHARE_LISTS], link)
        n++;
    return n;
}

static void a_user_has_one_share_whatever_the_connections(void **unused)
{
    struct shares shares = { 0 };
    (void)unused;
    struct share *alice = share_join(&shares, ALICE, 0), *bob = share_join(&shares, BOB, 0);
    assert_ptr_not_equal(alice, bob);
    assert_ptr_equal(share_join(&shares, ALICE, 0), alice);
    assert_int_equal(alice->connections, 2);
    assert_int_equal(bob->connections, 1);
    shares_clear(&shares);
}

static void who_hangs_up_and_comes_back_finds_the_same_share_until_it_is_forgotten(void **unused)
{
    struct shares shares = { 0 };
    (void)unused;
    struct share *alice = share_join(&shares, ALICE, 0);
    time_share_spend(&alice->time, 0, 10 * MSEC);
    share_leave(alice);
    assert_ptr_equal(share_join(&shares, ALICE, 20 * MSEC), alice);
    assert_true(time_share_is_used_up(&alice->time, 20 * MSEC));
    share_leave(alice);
    struct share *bob = share_join(&shares, BOB, 50 * MSEC);
    assert_int_equal(length(&shares), 2);
    share_leave(bob);
    bob = share_join(&shares, BOB, 200 * MSEC);
    assert_int_equal(length(&shares), 1);
    share_leave(bob);
    shares_clear(&shares);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenth_of_the_time_is_for_everybody),
        cmocka_unit_test(what_was_spent_is_forgotten_and_the_worst_within_half_a_second),
        cmocka_unit_test(a_clock_that_stands_or_goes_back_costs_nobody_anything),
        cmocka_unit_test(a_user_has_one_share_whatever_the_connections),
        cmocka_unit_test(who_hangs_up_and_comes_back_finds_the_same_share_until_it_is_forgotten),
    };
    return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
