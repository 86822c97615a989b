/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever allocation of the core fails: each request is answered once, the one that was hit
 * with an error, and afterwards the next client is served. */
#include "broker.h"
#include "fake_backend.h"
#include "fake_loop.h"
#include "fake_transport.h"
#include "fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define IDLE_SEC 120

static struct house {
    struct fake_loop loop;
    struct fake_backend backend;
    struct broker *broker;
    struct backend_events events;
    struct call calls[32];
    size_t n_calls;
} house;

static struct peer *come(uid_t uid)
{
    struct peer_cred cred = { .uid = uid, .gid = uid, .pid = 100 };
    struct failure failure = { 0 };
    struct peer *peer = broker_peer_new(house.broker, &cred, &failure);

    assert_true(peer || failure.err == -ENOMEM);
    return peer;
}

static struct call *new_call(void)
{
    struct call *call = &house.calls[house.n_calls++];

    assert_true(house.n_calls < 32);
    *call = (struct call){ .answer = FAKE_NOTHING_YET };
    return call;
}

/* The backend does all that it was asked, and what the core asks for thereupon. */
static void finish_all(void)
{
    unsigned kind = 0;

    while (kind < FAKE_JOB_KINDS)
        if (fake_backend_pending(&house.backend, kind, NULL) > 0) {
            fake_backend_finish(&house.backend, kind, NULL, 0, NULL);
            kind = 0;
        } else {
            kind++;
        }
}

/* The answer must be there. A client may be told of a failure only if there was one. */
static bool settled(const struct call *call)
{
    finish_all();
    assert_int_not_equal(call->answer, FAKE_NOTHING_YET);
    assert_true(call->answer != FAKE_ERROR || fault_happened());
    return call->answer != FAKE_ERROR;
}

static bool acquire(struct peer *peer, const char *name)
{
    struct call *call = new_call();

    broker_acquire(peer, call, name);
    bool ok = settled(call);
    assert_true(ok || call->status == STATUS_INTERNAL_ERROR ||
                call->status == STATUS_CREATE_FAILURE);
    return ok;
}

static void start(struct peer *peer)
{
    static const struct iface_request request = { .network = "shared", .queues = 1, .name = "web" };
    struct call *call = new_call();

    broker_start_interface(peer, call, &request);
    (void)settled(call);
}

static void look(struct peer *peer)
{
    struct call *list = new_call(), *status = new_call();

    broker_list(peer, list);
    (void)settled(list);
    broker_status(peer, status, NULL);
    (void)settled(status);
}

static void a_visit(uid_t uid)
{
    struct peer *peer = come(uid);

    if (!peer)
        return;
    if (acquire(peer, "shared"))
        start(peer);
    (void)acquire(peer, "host");
    look(peer);
    struct call *call = new_call();
    broker_release(peer, call, "host");
    (void)settled(call);
    broker_peer_gone(peer);
}

/* Two who want the same network while it is built, of whom one loses patience. */
static void a_crowd(void)
{
    struct peer *first = come(1000), *second = come(1001);
    struct call *one = new_call(), *two = new_call();

    if (first)
        broker_acquire(first, one, "shared");
    if (second)
        broker_acquire(second, two, "shared");
    if (first)
        broker_peer_gone(first);
    if (second) {
        (void)settled(two);
        broker_peer_gone(second);
    }
}

static void found_networks(void)
{
    struct net_def def;

    assert_int_equal(net_def_find("host", &def), 0);
    fault_pause();
    struct net_handle *handle = fake_net_handle(&house.backend);
    fault_resume();
    house.events.found(house.events.arg, &def, handle, 1);
    house.events.interfaces(house.events.arg, "host", 0);
}

static void pass(unsigned sec)
{
    fake_loop_advance(&house.loop, sec * USEC_PER_SEC);
    finish_all();
}

static void stop(void)
{
    struct peer *owner = come(0);
    struct call *call = new_call();

    if (!owner)
        return;
    broker_stop(owner, call);
    (void)settled(call);
    broker_peer_gone(owner);
}

static void the_next_client_is_served(void)
{
    struct peer *peer = come(1002);

    assert_non_null(peer);
    struct call *call = new_call();
    broker_acquire(peer, call, "shared");
    finish_all();
    assert_int_equal(call->answer, FAKE_NETWORK);
    broker_peer_gone(peer);
}

static void a_day(void)
{
    found_networks();
    a_visit(1000);
    pass(IDLE_SEC);
    a_crowd();
    pass(IDLE_SEC);
    a_visit(1001);
    stop();
}

static void story(void)
{
    static const struct broker_config config = { .idle_timeout_sec = IDLE_SEC };

    house = (struct house){ .n_calls = 0 };
    fake_loop_init(&house.loop);
    fake_backend_init(&house.backend);
    fault_begin();
    house.broker = broker_new(&config, &house.loop.loop, &fake_transport_ops);
    if (house.broker) {
        house.events = broker_backend_events(house.broker);
        broker_set_backend(house.broker, &house.backend.backend);
        a_day();
    }
    (void)fault_end();
    assert_true(house.broker || fault_happened());
    if (!house.broker)
        return;
    the_next_client_is_served();
    pass(IDLE_SEC);
    assert_int_equal(fake_loop_running(&house.loop), 0);
    broker_free(house.broker);
    assert_int_equal(house.backend.handles, 0);
    assert_int_equal(house.backend.interface_handles, 0);
    assert_int_equal(fake_loop_timers(&house.loop), 0);
}

static void a_day_of_the_core(void **unused)
{
    (void)unused;
    fault_each(story, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fault_test(a_day_of_the_core),
    };
    return cmocka_run_group_tests_name("faults in the core", tests, NULL, NULL);
}
