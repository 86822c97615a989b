/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a port, asked from a loop that must not wait: by a host that takes as long to find
 * out as the test likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "owner_search.h"

#include "clock.h"

#include <errno.h>
#include <pthread.h>

#define PORT_OF_NOBODY 1u

/* Held: nothing is found out meanwhile. */
static pthread_mutex_t slow_host = PTHREAD_MUTEX_INITIALIZER;

int __wrap_port_owner_find(bool udp, uint16_t port, struct port_owner *ret);

/* The process whose number is the port's has it. */
int __wrap_port_owner_find(bool udp, uint16_t port, struct port_owner *ret)
{
    pthread_mutex_lock(&slow_host);
    pthread_mutex_unlock(&slow_host);
    if (port == PORT_OF_NOBODY)
        return -ENOENT;
    *ret = (struct port_owner){ .uid = udp, .pid = port };
    return 0;
}

struct world {
    sd_event *event;
    struct owner_search *search;
    unsigned told, unknown;
    pid_t last;
    bool last_udp, asks_again;
};

static void begin(struct world *w)
{
    *w = (struct world){ .event = NULL };
    assert_true(sd_event_new(&w->event) >= 0);
    assert_int_equal(owner_search_new(w->event, &w->search), 0);
}

static void end(struct world *w)
{
    owner_search_free(w->search);
    (void)sd_event_unref(w->event);
}

static void on_owner(void *arg, const struct port_owner *owner)
{
    struct world *w = arg;

    w->told++;
    w->unknown += owner == NULL;
    w->last = owner ? owner->pid : 0;
    w->last_udp = owner && owner->uid == 1;
    if (w->asks_again) {
        w->asks_again = false;
        assert_int_equal(owner_search_ask(w->search, false, 4000, on_owner, w), 0);
    }
}

static void await_told(struct world *w, unsigned n)
{
    uint64_t deadline = monotonic_usec() + 10000000;

    while (w->told < n && monotonic_usec() < deadline)
        assert_true(sd_event_run(w->event, 20000) >= 0);
    assert_int_equal(w->told, n);
}

static void each_is_told_from_the_loop_in_turn(void **unused)
{
    (void)unused;
    struct world w;
    begin(&w);
    assert_int_equal(owner_search_ask(w.search, true, 2000, on_owner, &w), 0);
    assert_int_equal(w.told, 0);
    await_told(&w, 1);
    assert_int_equal(w.last, 2000);
    assert_true(w.last_udp);
    assert_int_equal(owner_search_ask(w.search, false, 3000, on_owner, &w), 0);
    assert_int_equal(owner_search_ask(w.search, false, PORT_OF_NOBODY, on_owner, &w), 0);
    await_told(&w, 3);
    assert_int_equal(w.last, 0);
    assert_int_equal(w.unknown, 1);
    end(&w);
}

static void only_so_many_wait(void **unused)
{
    (void)unused;
    struct world w;
    begin(&w);
    pthread_mutex_lock(&slow_host);
    for (unsigned i = 0; i < OWNER_SEARCHES_MAX; i++)
        assert_int_equal(owner_search_ask(w.search, false, 2000, on_owner, &w), 0);
    assert_int_equal(owner_search_ask(w.search, false, 2000, on_owner, &w), -EBUSY);
    pthread_mutex_unlock(&slow_host);
    await_told(&w, OWNER_SEARCHES_MAX);
    assert_int_equal(owner_search_ask(w.search, false, 2000, on_owner, &w), 0); /* again */
    await_told(&w, OWNER_SEARCHES_MAX + 1);
    end(&w);
}

static void whoever_is_told_may_ask_again(void **unused)
{
    (void)unused;
    struct world w;
    begin(&w);
    w.asks_again = true;
    assert_int_equal(owner_search_ask(w.search, false, 2000, on_owner, &w), 0);
    await_told(&w, 2);
    assert_int_equal(w.last, 4000);
    end(&w);
}

static void at_the_end_nobody_is_told(void **unused)
{
    (void)unused;
    struct world w;
    begin(&w);
    for (unsigned i = 0; i < OWNER_SEARCHES_MAX; i++)
        assert_int_equal(owner_search_ask(w.search, false, 2000, on_owner, &w), 0);
    end(&w);
    assert_int_equal(w.told, 0);
    owner_search_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_told_from_the_loop_in_turn),
        cmocka_unit_test(only_so_many_wait),
        cmocka_unit_test(whoever_is_told_may_ask_again),
        cmocka_unit_test(at_the_end_nobody_is_told),
    };
    return cmocka_run_group_tests_name("owner_search", tests, NULL, NULL);
}
