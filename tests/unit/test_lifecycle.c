/* SPDX-License-Identifier: Apache-2.0 */
#include "lifecycle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof *(a))

/* Each story is read from left to right: what happens, and where it leaves us. */
static const struct story {
    const char *name;
    struct {
        enum net_event ev;
        enum net_state state;
        enum net_action act;
    } step[7];
} stories[] = {
    { "one connection comes and goes",
      { { EV_ACQUIRE, NET_CREATING, ACT_CREATE },
        { EV_CREATED, NET_READY, ACT_ANSWER },
        { EV_LAST_LEFT, NET_IDLE, ACT_START_TIMER },
        { EV_TIMEOUT, NET_REMOVING, ACT_REMOVE },
        { EV_REMOVED, NET_GONE, ACT_FORGET } } },
    { "a second connection saves an idle network",
      { { EV_ACQUIRE, NET_CREATING, ACT_CREATE },
        { EV_CREATED, NET_READY, ACT_ANSWER },
        { EV_LAST_LEFT, NET_IDLE, ACT_START_TIMER },
        { EV_ACQUIRE, NET_READY, ACT_RESUME } } },
    { "an interface that comes alive saves an idle network",
      { { EV_ACQUIRE, NET_CREATING, ACT_CREATE },
        { EV_CREATED, NET_READY, ACT_ANSWER },
        { EV_LAST_LEFT, NET_IDLE, ACT_START_TIMER },
        { EV_IN_USE, NET_READY, ACT_RESUME },
        { EV_LAST_LEFT, NET_IDLE, ACT_START_TIMER } } },
    { "the connection leaves while we build",
      { { EV_ACQUIRE, NET_CREATING, ACT_CREATE },
        { EV_LAST_LEFT, NET_CREATING, ACT_NOTHING },
        { EV_CREATED_UNWANTED, NET_IDLE, ACT_START_TIMER } } },
    { "it leaves while we build, and another comes in time",
      { { EV_ACQUIRE, NET_CREATING, ACT_CREATE },
        { EV_LAST_LEFT, NET_CREATING, ACT_NOTHING },
        { EV_ACQUIRE, NET_CREATING, ACT_WAIT },
        { EV_CREATED, NET_READY, ACT_ANSWER } } },
    { "the backend fails and everyone waiting is told",
      { { EV_ACQUIRE, NET_CREATING, ACT_CREATE },
        { EV_ACQUIRE, NET_CREATING, ACT_WAIT },
        { EV_CREATE_FAILED, NET_GONE, ACT_REFUSE } } },
    { "a connection returns during the removal",
      { { EV_FOUND_UNUSED, NET_IDLE, ACT_START_TIMER },
        { EV_TIMEOUT, NET_REMOVING, ACT_REMOVE },
        { EV_ACQUIRE, NET_REMOVING, ACT_WAIT },
        { EV_REMOVED_WANTED, NET_CREATING, ACT_CREATE },
        { EV_CREATED, NET_READY, ACT_ANSWER } } },
    { "it returns during the removal, but not for long",
      { { EV_FOUND_UNUSED, NET_IDLE, ACT_START_TIMER },
        { EV_TIMEOUT, NET_REMOVING, ACT_REMOVE },
        { EV_ACQUIRE, NET_REMOVING, ACT_WAIT },
        { EV_LAST_LEFT, NET_REMOVING, ACT_NOTHING },
        { EV_REMOVED, NET_GONE, ACT_FORGET } } },
    { "what could not be removed is tried again",
      { { EV_FOUND_UNUSED, NET_IDLE, ACT_START_TIMER },
        { EV_TIMEOUT, NET_REMOVING, ACT_REMOVE },
        { EV_REMOVE_FAILED, NET_STUCK, ACT_RETRY_LATER },
        { EV_TIMEOUT, NET_REMOVING, ACT_REMOVE },
        { EV_REMOVED, NET_GONE, ACT_FORGET } } },
    { "a stuck network is never lent, but removed first",
      { { EV_FOUND_UNUSED, NET_IDLE, ACT_START_TIMER },
        { EV_TIMEOUT, NET_REMOVING, ACT_REMOVE },
        { EV_REMOVE_FAILED, NET_STUCK, ACT_RETRY_LATER },
        { EV_ACQUIRE, NET_REMOVING, ACT_REMOVE },
        { EV_REMOVED_WANTED, NET_CREATING, ACT_CREATE } } },
    { "an adopted network with live interfaces is ready",
      { { EV_FOUND, NET_READY, ACT_NOTHING }, { EV_ACQUIRE, NET_READY, ACT_ANSWER } } },
    { "a network is lost while it is held",
      { { EV_FOUND, NET_READY, ACT_NOTHING }, { EV_LOST, NET_GONE, ACT_FORGET } } },
    { "a network is lost while it is idle",
      { { EV_FOUND_UNUSED, NET_IDLE, ACT_START_TIMER }, { EV_LOST, NET_GONE, ACT_FORGET } } },
    { "a network lost during its removal still awaits the answer",
      { { EV_FOUND_UNUSED, NET_IDLE, ACT_START_TIMER },
        { EV_TIMEOUT, NET_REMOVING, ACT_REMOVE },
        { EV_LOST, NET_REMOVING, ACT_NOTHING },
        { EV_REMOVED, NET_GONE, ACT_FORGET } } },
};

static void stories_end_where_they_should(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N(stories); i++) {
        enum net_state now = NET_GONE;
        for (size_t k = 0; k < N(stories[i].step) && stories[i].step[k].act; k++) {
            struct net_step got = lifecycle_step(now, stories[i].step[k].ev);
            if (got.next != stories[i].step[k].state || got.act != stories[i].step[k].act)
                fail_msg("%s: step %zu from %s went to %s, action %d", stories[i].name, k + 1,
                         net_state_name(now), net_state_name(got.next), (int)got.act);
            now = got.next;
        }
    }
}

static void impossible_pairs_are_named_as_bugs(void **unused)
{
    (void)unused;
    assert_int_equal(lifecycle_step(NET_READY, EV_TIMEOUT).act, ACT_BUG);
    assert_int_equal(lifecycle_step(NET_READY, EV_FOUND).act, ACT_BUG);
    assert_int_equal(lifecycle_step(NET_GONE, EV_CREATED).act, ACT_BUG);
    assert_int_equal(lifecycle_step(NET_GONE, EV_LOST).act, ACT_BUG);
    assert_int_equal(lifecycle_step(NET_IDLE, EV_LAST_LEFT).act, ACT_BUG);
    assert_int_equal(lifecycle_step(NET_CREATING, EV_TIMEOUT).act, ACT_BUG);
    assert_int_equal(lifecycle_step(NET_REMOVING, EV_TIMEOUT).act, ACT_BUG);
}

/* Whatever may come can come in any order, so in every state of a network that exists
 * these three are planned for. */
static void a_network_that_exists_expects_every_client_and_every_loss(void **unused)
{
    (void)unused;
    for (int s = NET_CREATING; s < NET_STATES; s++) {
        assert_int_not_equal(lifecycle_step((enum net_state)s, EV_ACQUIRE).act, ACT_BUG);
        assert_int_not_equal(lifecycle_step((enum net_state)s, EV_LOST).act, ACT_BUG);
        if (s != NET_IDLE)
            assert_int_not_equal(lifecycle_step((enum net_state)s, EV_LAST_LEFT).act, ACT_BUG);
    }
}

static void every_state_has_a_word_that_clients_know(void **unused)
{
    (void)unused;
    assert_string_equal(net_state_name(NET_CREATING), "creating");
    assert_string_equal(net_state_name(NET_READY), "ready");
    assert_string_equal(net_state_name(NET_IDLE), "idle");
    assert_string_equal(net_state_name(NET_REMOVING), "removing");
    assert_string_equal(net_state_name(NET_STUCK), "removing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories_end_where_they_should),
        cmocka_unit_test(impossible_pairs_are_named_as_bugs),
        cmocka_unit_test(a_network_that_exists_expects_every_client_and_every_loss),
        cmocka_unit_test(every_state_has_a_word_that_clients_know),
    };
    return cmocka_run_group_tests_name("lifecycle", tests, NULL, NULL);
}
