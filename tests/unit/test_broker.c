/* SPDX-License-Identifier: Apache-2.0 */
/* test_broker.c - whole stories of clients, networks and time, without a second of it.
 *
 * Each story runs in a house of its own: the core between three ports that do nothing
 * real. When a house is pulled down, everything must have been given back.
 */
#include "broker.h"

#include "fake_backend.h"
#include "fake_loop.h"
#include "fake_transport.h"
#include "log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <cmocka.h>

#define N(a)  (sizeof(a) / sizeof *(a))
#define OWNER 990
#define ALICE 1000
#define BOB   1001
#define SEC   USEC_PER_SEC
#define IDLE  (120 * SEC)
#define THREE 3 /* who wait together */

struct house {
    struct fake_loop loop;
    struct fake_backend backend;
    struct broker *broker;
    struct backend_events events;
    struct call calls[64];
    size_t n_calls;
    int n_peers;
};

static struct house *house_build(const struct broker_config *config)
{
    struct house *h = calloc(1, sizeof *h);
    assert_non_null(h);
    fake_loop_init(&h->loop);
    fake_backend_init(&h->backend);
    h->broker = broker_new(config, &h->loop.loop, &fake_transport_ops);
    assert_non_null(h->broker);
    h->events = broker_backend_events(h->broker);
    broker_set_backend(h->broker, &h->backend.backend);
    return h;
}

static struct house *house_new(void)
{
    return house_build(&(struct broker_config){ .idle_timeout_sec = 120, .owner = OWNER });
}

static struct house *house_on_demand(void)
{
    return house_build(
        &(struct broker_config){ .idle_timeout_sec = 120, .owner = OWNER, .exit_when_idle = true });
}

static void house_end(struct house *h)
{
    broker_free(h->broker);
    assert_true(h->backend.freed);
    assert_int_equal(h->backend.handles, 0);
    assert_int_equal(h->backend.interface_handles, 0);
    assert_int_equal(fake_loop_timers(&h->loop), 0);
    free(h);
}

/* --- what a client does: each returns the call, to look at its answer --- */

static struct peer *come(struct house *h, uid_t uid)
{
    struct failure failure;
    struct peer_cred cred = { .uid = uid, .gid = uid, .pid = 100 + h->n_peers++ };
    struct peer *peer = broker_peer_new(h->broker, &cred, &failure);
    assert_non_null(peer);
    return peer;
}

static struct call *new_call(struct house *h)
{
    assert_true(h->n_calls < N(h->calls));
    return &h->calls[h->n_calls++];
}

static struct call *acquire(struct house *h, struct peer *peer, const char *name)
{
    struct call *call = new_call(h);
    broker_acquire(peer, call, name);
    return call;
}

static struct call *release(struct house *h, struct peer *peer, const char *name)
{
    struct call *call = new_call(h);
    broker_release(peer, call, name);
    return call;
}

static struct call *start(struct house *h, struct peer *peer, const struct iface_request *request)
{
    struct call *call = new_call(h);
    broker_start_interface(peer, call, request);
    return call;
}

static struct call *status(struct house *h, struct peer *peer, const char *name)
{
    struct call *call = new_call(h);
    broker_status(peer, call, name);
    return call;
}

static struct call *list(struct house *h, struct peer *peer)
{
    struct call *call = new_call(h);
    broker_list(peer, call);
    return call;
}

static struct call *stop(struct house *h, struct peer *peer)
{
    struct call *call = new_call(h);
    broker_stop(peer, call);
    return call;
}

static const struct iface_request on_shared = { .network = "shared", .queues = 1 };

/* --- what the system does --- */

static void finish(struct house *h, enum fake_job_kind kind, const char *network)
{
    fake_backend_finish(&h->backend, kind, network, 0, NULL);
}

static void fail_job(struct house *h, enum fake_job_kind kind, const char *network, int err,
                     const char *why)
{
    fake_backend_finish(&h->backend, kind, network, err, why);
}

static unsigned pending(const struct house *h, enum fake_job_kind kind)
{
    return fake_backend_pending(&h->backend, kind, NULL);
}

static void live(struct house *h, const char *network, unsigned n)
{
    h->events.interfaces(h->events.arg, network, n);
}

static void lose(struct house *h, const char *network)
{
    struct failure failure = { -ECONNRESET, "the helper died" };
    h->events.lost(h->events.arg, network, &failure);
}

static void find(struct house *h, const char *network, unsigned interfaces)
{
    struct net_def def;
    assert_int_equal(net_def_find(network, &def), 0);
    h->events.found(h->events.arg, &def, fake_net_handle(&h->backend), interfaces);
}

static void pass(struct house *h, uint64_t usec)
{
    fake_loop_advance(&h->loop, usec);
}

/* --- what we expect --- */

static void assert_waits(const struct call *call)
{
    assert_int_equal(call->answer, FAKE_NOTHING_YET);
}

static void assert_got_network(const struct call *call)
{
    if (call->answer == FAKE_ERROR)
        fail_msg("refused: %s", call->message);
    assert_int_equal(call->answer, FAKE_NETWORK);
}

static void assert_refused(const struct call *call, enum status st, const char *words)
{
    assert_int_equal(call->answer, FAKE_ERROR);
    assert_int_equal(call->status, st);
    if (!strstr(call->message, words))
        fail_msg("'%s' lacks '%s'", call->message, words);
}

/* As the owner sees it; "" when the network does not exist. */
static const char *state_of(struct house *h, const char *network)
{
    static char state[16];
    struct call call = { 0 };
    struct peer *owner = come(h, OWNER);

    broker_list(owner, &call);
    broker_peer_gone(owner);
    state[0] = '\0';
    for (size_t i = 0; i < call.n_networks; i++)
        if (strcmp(call.networks[i].name, network) == 0)
            memcpy(state, call.networks[i].state, sizeof state);
    return state;
}

/* A client that holds a network which is ready. */
static struct peer *come_and_hold(struct house *h, uid_t uid, const char *network)
{
    struct peer *peer = come(h, uid);
    struct call *call = acquire(h, peer, network);
    if (call->answer == FAKE_NOTHING_YET)
        finish(h, FAKE_BUILD, network);
    assert_got_network(call);
    return peer;
}

/* --- coming and going --- */

static void one_client_comes_and_goes(void **unused)
{
    struct house *h = house_new();
    (void)unused;

    struct peer *alice = come(h, ALICE);
    struct call *call = acquire(h, alice, "shared");
    assert_waits(call);
    assert_string_equal(state_of(h, "shared"), "creating");
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(call);
    assert_string_equal(state_of(h, "shared"), "ready");

    broker_peer_gone(alice);
    assert_string_equal(state_of(h, "shared"), "idle");
    pass(h, IDLE - 1);
    assert_int_equal(pending(h, FAKE_REMOVE), 0);
    pass(h, 1);
    assert_int_equal(pending(h, FAKE_REMOVE), 1);
    assert_string_equal(state_of(h, "shared"), "removing");
    finish(h, FAKE_REMOVE, "shared");
    assert_string_equal(state_of(h, "shared"), "");
    assert_int_equal(h->backend.handles, 0);
    assert_false(h->loop.quit); /* not started on demand */
    house_end(h);
}

static void an_existing_network_is_answered_from_inside_the_verb(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    come_and_hold(h, ALICE, "shared");
    struct call *call = acquire(h, come(h, BOB), "shared");
    assert_got_network(call);
    assert_ptr_equal(call->network, h->calls[0].network);
    assert_int_equal(h->backend.requests[FAKE_BUILD], 1);
    house_end(h);
}

static void acquiring_twice_is_one_reference_and_the_same_answer(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    struct call *again = acquire(h, alice, "shared");
    assert_got_network(again);
    assert_ptr_equal(again->network, h->calls[0].network);
    assert_int_equal(list(h, alice)->networks[0].clients, 1);

    assert_int_equal(release(h, alice, "shared")->answer, FAKE_DONE);
    assert_string_equal(state_of(h, "shared"), "idle");
    house_end(h);
}

static void one_client_holds_many_networks_and_releases_them_one_by_one(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    struct call *call = acquire(h, alice, "host");
    finish(h, FAKE_BUILD, "host");
    assert_got_network(call);
    release(h, alice, "shared");
    assert_string_equal(state_of(h, "shared"), "idle");
    assert_string_equal(state_of(h, "host"), "ready");
    broker_peer_gone(alice);
    assert_string_equal(state_of(h, "host"), "idle");
    house_end(h);
}

static void the_network_stays_until_the_last_client_goes(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    struct peer *bob = come_and_hold(h, BOB, "shared");
    broker_peer_gone(alice);
    pass(h, 10 * IDLE);
    assert_string_equal(state_of(h, "shared"), "ready");
    broker_peer_gone(bob);
    assert_string_equal(state_of(h, "shared"), "idle");
    house_end(h);
}

static void releasing_what_is_not_held_is_an_error(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    struct peer *bob = come(h, BOB);
    assert_refused(release(h, bob, "shared"), STATUS_INVALID_REQUEST, "does not hold");
    assert_refused(release(h, alice, "host"), STATUS_INVALID_REQUEST, "'host'");
    assert_refused(release(h, alice, "Host"), STATUS_INVALID_REQUEST, "malformed");
    release(h, alice, "shared");
    assert_refused(release(h, alice, "shared"), STATUS_INVALID_REQUEST, "does not hold");
    house_end(h);
}

/* --- while a network is created --- */

static void all_who_wait_for_a_creation_get_its_one_outcome(void **unused)
{
    struct house *h = house_new();
    struct call *calls[THREE];
    (void)unused;
    for (size_t i = 0; i < THREE; i++)
        calls[i] = acquire(h, come(h, ALICE), "shared");
    assert_int_equal(pending(h, FAKE_BUILD), 1);
    for (size_t i = 0; i < THREE; i++)
        assert_waits(calls[i]);
    finish(h, FAKE_BUILD, "shared");
    for (size_t i = 0; i < THREE; i++)
        assert_got_network(calls[i]);
    assert_int_equal(h->backend.requests[FAKE_BUILD], 1);
    house_end(h);
}

static void creation_fails_with_three_waiting_and_the_next_attempt_starts_afresh(void **unused)
{
    struct house *h = house_new();
    struct peer *peers[THREE];
    struct call *calls[THREE];
    (void)unused;
    for (size_t i = 0; i < THREE; i++) {
        peers[i] = come(h, ALICE);
        calls[i] = acquire(h, peers[i], "shared");
    }
    fail_job(h, FAKE_BUILD, "shared", -EPERM, "no user namespaces: run doctor");
    for (size_t i = 0; i < THREE; i++) {
        assert_refused(calls[i], STATUS_CREATE_FAILURE, "'shared'");
        assert_refused(calls[i], STATUS_CREATE_FAILURE, "no user namespaces: run doctor");
    }
    assert_string_equal(state_of(h, "shared"), "");
    assert_refused(release(h, peers[0], "shared"), STATUS_INVALID_REQUEST, "does not hold");

    struct call *next = acquire(h, peers[1], "shared");
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(next);
    house_end(h);
}

static void a_client_leaves_while_its_network_is_created(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come(h, ALICE);
    struct call *call = acquire(h, alice, "shared");
    broker_peer_gone(alice);
    assert_string_equal(state_of(h, "shared"), "creating");
    finish(h, FAKE_BUILD, "shared");
    assert_waits(call); /* nobody is there to be answered */
    assert_string_equal(state_of(h, "shared"), "idle");
    pass(h, IDLE);
    finish(h, FAKE_REMOVE, "shared");
    assert_string_equal(state_of(h, "shared"), "");
    house_end(h);
}

static void one_of_two_leaves_while_their_network_is_created(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come(h, ALICE), *bob = come(h, BOB);
    struct call *first = acquire(h, alice, "shared");
    struct call *second = acquire(h, bob, "shared");
    broker_peer_gone(alice);
    finish(h, FAKE_BUILD, "shared");
    assert_waits(first);
    assert_got_network(second);
    house_end(h);
}

static void a_client_leaves_and_the_creation_fails(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come(h, ALICE);
    struct call *call = acquire(h, alice, "shared");
    broker_peer_gone(alice);
    fail_job(h, FAKE_BUILD, "shared", -ENETDOWN, NULL);
    assert_waits(call);
    assert_string_equal(state_of(h, "shared"), "");
    house_end(h);
}

static void a_build_that_cannot_even_begin_is_a_create_failure(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    h->backend.fail_at_once[FAKE_BUILD] = -EAGAIN;
    struct peer *alice = come(h, ALICE);
    assert_refused(acquire(h, alice, "shared"), STATUS_CREATE_FAILURE, "'shared'");
    assert_string_equal(state_of(h, "shared"), "");

    h->backend.fail_at_once[FAKE_BUILD] = -ENOMEM;
    assert_refused(acquire(h, alice, "shared"), STATUS_INTERNAL_ERROR, "'shared'");

    h->backend.fail_at_once[FAKE_BUILD] = 0;
    struct call *call = acquire(h, alice, "shared");
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(call);
    house_end(h);
}

static void one_networks_creation_holds_up_nobody_else(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    struct call *slow = acquire(h, alice, "host");
    assert_got_network(acquire(h, come(h, BOB), "shared"));
    struct call *report = list(h, come(h, BOB));
    assert_int_equal(report->answer, FAKE_REPORT);
    assert_int_equal(report->n_networks, 2);
    assert_string_equal(report->networks[0].name, "host");
    assert_string_equal(report->networks[0].state, "creating");
    assert_false(report->networks[0].exists);
    assert_string_equal(report->networks[1].name, "shared");
    assert_true(report->networks[1].exists);
    assert_waits(slow);
    fail_job(h, FAKE_BUILD, "host", -EADDRINUSE, "192.168.65.0/24 is the VPN's");
    assert_refused(slow, STATUS_CREATE_FAILURE, "the VPN's");
    assert_string_equal(state_of(h, "shared"), "ready");
    house_end(h);
}

/* --- idle, and removed --- */

static void whoever_comes_back_in_time_keeps_the_network(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    pass(h, IDLE - 1);
    struct peer *bob = come(h, BOB);
    assert_got_network(acquire(h, bob, "shared"));
    assert_int_equal(fake_loop_running(&h->loop), 0);
    pass(h, 10 * IDLE);
    assert_int_equal(pending(h, FAKE_REMOVE), 0);
    assert_int_equal(h->backend.requests[FAKE_BUILD], 1);

    broker_peer_gone(bob); /* and the delay begins anew */
    pass(h, IDLE - 1);
    assert_string_equal(state_of(h, "shared"), "idle");
    pass(h, 1);
    assert_string_equal(state_of(h, "shared"), "removing");
    house_end(h);
}

static void a_client_returns_during_the_removal_and_gets_a_new_network(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    pass(h, IDLE);
    struct call *call = acquire(h, come(h, BOB), "shared");
    assert_waits(call);
    finish(h, FAKE_REMOVE, "shared");
    assert_int_equal(h->backend.handles, 0);
    assert_waits(call);
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(call);
    assert_int_equal(fake_net_handle_serial(call->network), 2);
    house_end(h);
}

static void a_client_returns_during_the_removal_but_leaves_again(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    pass(h, IDLE);
    struct peer *bob = come(h, BOB);
    acquire(h, bob, "shared");
    broker_peer_gone(bob);
    finish(h, FAKE_REMOVE, "shared");
    assert_string_equal(state_of(h, "shared"), "");
    assert_int_equal(h->backend.requests[FAKE_BUILD], 1);
    house_end(h);
}

static void interfaces_that_went_with_a_network_do_not_keep_the_next_one(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    pass(h, IDLE);
    live(h, "shared", 1); /* too late: the removal takes it along */
    struct peer *bob = come(h, BOB);
    struct call *call = acquire(h, bob, "shared");
    finish(h, FAKE_REMOVE, "shared");
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(call);
    broker_peer_gone(bob);
    assert_string_equal(state_of(h, "shared"), "idle");
    house_end(h);
}

static void a_removal_that_fails_is_tried_again_later(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    pass(h, IDLE);
    fail_job(h, FAKE_REMOVE, "shared", -EBUSY, "the bridge is busy");
    assert_string_equal(state_of(h, "shared"), "removing");
    pass(h, IDLE - 1);
    assert_int_equal(pending(h, FAKE_REMOVE), 0);
    h->backend.fail_at_once[FAKE_REMOVE] = -EAGAIN; /* this time it cannot even begin */
    pass(h, 1);
    h->backend.fail_at_once[FAKE_REMOVE] = 0;
    pass(h, IDLE);
    assert_int_equal(h->backend.requests[FAKE_REMOVE], 3);
    finish(h, FAKE_REMOVE, "shared");
    assert_string_equal(state_of(h, "shared"), "");
    house_end(h);
}

static void who_waits_for_a_removal_that_fails_hears_why_and_may_try_again(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    pass(h, IDLE);
    struct peer *bob = come(h, BOB);
    struct call *first = acquire(h, bob, "shared");
    fail_job(h, FAKE_REMOVE, "shared", -EBUSY, "the bridge is busy");
    assert_refused(first, STATUS_CREATE_FAILURE, "cannot be removed: the bridge is busy");

    struct call *second = acquire(h, bob, "shared"); /* never what is half removed */
    assert_waits(second);
    assert_int_equal(pending(h, FAKE_REMOVE), 1);
    finish(h, FAKE_REMOVE, "shared");
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(second);
    house_end(h);
}

static void removing_what_is_gone_already_has_worked(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    pass(h, IDLE);
    fail_job(h, FAKE_REMOVE, "shared", -ENOENT, NULL);
    assert_string_equal(state_of(h, "shared"), "");

    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    h->backend.fail_at_once[FAKE_REMOVE] = -ENOENT;
    pass(h, IDLE);
    assert_string_equal(state_of(h, "shared"), "");
    house_end(h);
}

static void an_idle_time_of_zero_removes_at_once_and_never_loops(void **unused)
{
    struct house *h = house_build(&(struct broker_config){ .idle_timeout_sec = 0, .owner = OWNER });
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    pass(h, 0);
    assert_int_equal(pending(h, FAKE_REMOVE), 1);
    h->backend.fail_at_once[FAKE_REMOVE] = -EBUSY;
    fail_job(h, FAKE_REMOVE, "shared", -EBUSY, NULL);
    pass(h, 60 * SEC);
    assert_in_range(h->backend.requests[FAKE_REMOVE], 2, 10);
    house_end(h);
}

static void a_network_with_its_own_idle_time_keeps_to_that(void **unused)
{
    struct house *h = house_new();
    struct net_def def;
    (void)unused;
    net_def_default("lab", NET_MODE_HOST, &def); /* that nobody defines any more */
    def.idle_timeout_sec = 7;
    h->events.found(h->events.arg, &def, fake_net_handle(&h->backend), 0);
    pass(h, 7 * SEC - 1);
    assert_int_equal(pending(h, FAKE_REMOVE), 0);
    pass(h, 1);
    assert_int_equal(pending(h, FAKE_REMOVE), 1);
    house_end(h);
}

/* --- interfaces --- */

static void a_live_interface_uses_the_network_after_its_client_has_gone(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    live(h, "shared", 1);
    broker_peer_gone(alice);
    pass(h, 10 * IDLE);
    assert_string_equal(state_of(h, "shared"), "ready");
    live(h, "shared", 0);
    assert_string_equal(state_of(h, "shared"), "idle");
    pass(h, IDLE / 2);
    live(h, "shared", 2); /* one that was still on its way */
    pass(h, IDLE);
    assert_string_equal(state_of(h, "shared"), "ready");
    live(h, "nonsense", 3);
    house_end(h);
}

static void an_interface_is_started_for_who_holds_the_network(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    struct iface_request request = on_shared;
    request.uid = BOB; /* what the transport says does not count */
    struct call *call = start(h, alice, &request);
    assert_waits(call);
    assert_int_equal(h->backend.last_uid, ALICE);
    finish(h, FAKE_START, "shared");
    assert_int_equal(call->answer, FAKE_INTERFACE);
    house_end(h);
}

static void an_interface_needs_a_network_that_this_connection_holds(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    come_and_hold(h, ALICE, "shared");
    struct peer *other = come(h, ALICE);
    assert_refused(start(h, other, &on_shared), STATUS_INVALID_REQUEST, "acquire it first");
    assert_int_equal(h->backend.requests[FAKE_START], 0);
    house_end(h);
}

static void a_malformed_interface_is_refused_in_words(void **unused)
{
    static const struct mac multicast = { { 1, 0, 0x5e, 0, 0, 1 } };
    static const struct {
        struct iface_request request;
        const char *words;
    } cases[] = {
        { { .network = "Sh", .queues = 1 }, "network name 'Sh' is malformed" },
        { { .network = "shared", .queues = 0 }, "use 1 to 16" },
        { { .network = "shared", .queues = 17 }, "17 queues" },
        { { .network = "shared", .queues = 1, .name = "Web" }, "name 'Web' is malformed" },
        { { .network = "shared", .queues = 1, .name = "" }, "name '' is malformed" },
        { { .network = "shared", .queues = 1, .name = "gateway" }, "reserved" },
        { { .network = "shared", .queues = 1, .mac = &multicast }, "01:00:5e:00:00:01" },
        { { .network = "shared", .queues = 1, .interface_id = "" }, "interface_id ''" },
        { { .network = "shared", .queues = 1, .interface_id = "a b" }, "without blanks" },
        { { .network = "shared", .queues = 1, .interface_id = "a\n" }, "'a?'" },
        { { .network = "shared",
            .queues = 1,
            .interface_id = "0123456789012345678901234567890123456789012345678901234567890123" },
          "...'" },
    };
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    for (size_t i = 0; i < N(cases); i++)
        assert_refused(start(h, alice, &cases[i].request), STATUS_INVALID_REQUEST, cases[i].words);
    assert_int_equal(h->backend.requests[FAKE_START], 0);

    static const struct mac good = { { 0x52, 0x54, 0, 0, 0, 1 } };
    struct iface_request request = {
        .network = "shared", .interface_id = "vm/1:net0", .name = "web", .mac = &good, .queues = 16
    };
    assert_waits(start(h, alice, &request));
    house_end(h);
}

static void a_start_that_fails_keeps_its_own_number(void **unused)
{
    static const struct {
        int err;
        enum status status;
    } cases[] = {
        { -EPERM, STATUS_NOT_ALLOWED },        { -EDQUOT, STATUS_NOT_ALLOWED },
        { -EINVAL, STATUS_INVALID_REQUEST },   { -EADDRINUSE, STATUS_CREATE_FAILURE },
        { -ETIMEDOUT, STATUS_CREATE_FAILURE }, { -ENOMEM, STATUS_INTERNAL_ERROR },
    };
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    for (size_t i = 0; i < N(cases); i++) {
        struct call *call = start(h, alice, &on_shared);
        fail_job(h, FAKE_START, "shared", cases[i].err, "'web' is bob's");
        assert_refused(call, cases[i].status, "'web' is bob's");
        h->backend.fail_at_once[FAKE_START] = cases[i].err;
        assert_refused(start(h, alice, &on_shared), cases[i].status, "'shared'");
        h->backend.fail_at_once[FAKE_START] = 0;
    }
    house_end(h);
}

static void an_interface_whose_client_has_gone_is_ended(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    struct call *call = start(h, alice, &on_shared);
    broker_peer_gone(alice);
    finish(h, FAKE_START, "shared");
    assert_waits(call);
    assert_int_equal(h->backend.interface_handles, 0);

    struct peer *bob = come_and_hold(h, BOB, "shared");
    start(h, bob, &on_shared);
    broker_peer_gone(bob);
    fail_job(h, FAKE_START, "shared", -EBUSY, NULL); /* and one that never came */
    house_end(h);
}

static void by_name_only_where_clients_can_enter_the_namespace(void **unused)
{
    static const struct iface_request named = { .network = "shared", .queues = 1, .by_name = true };
    struct house *open = house_new();
    (void)unused;
    assert_waits(start(open, come_and_hold(open, ALICE, "shared"), &named));
    house_end(open);

    struct house *closed = house_build(
        &(struct broker_config){ .idle_timeout_sec = 120, .owner = OWNER, .closed = true });
    struct peer *alice = come_and_hold(closed, ALICE, "shared");
    assert_refused(start(closed, alice, &named), STATUS_INVALID_REQUEST, "descriptors");
    assert_waits(start(closed, alice, &on_shared));
    house_end(closed);
}

static void where_clients_start_interfaces_themselves_they_are_told(void **unused)
{
    struct house *h = house_new();
    struct backend_ops ops = fake_backend_ops;
    (void)unused;
    ops.start_interface = NULL;
    ops.drop_interface = NULL;
    struct backend mac = { &ops, &h->backend };
    broker_set_backend(h->broker, &mac);
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    assert_refused(start(h, alice, &on_shared), STATUS_INVALID_REQUEST, "themselves");
    house_end(h);
}

/* --- what was there before us, and what goes without us --- */

static void what_the_helper_has_is_adopted(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    find(h, "shared", 2);
    find(h, "host", 0);
    assert_string_equal(state_of(h, "shared"), "ready");
    assert_string_equal(state_of(h, "host"), "idle");
    assert_got_network(acquire(h, come(h, ALICE), "shared"));
    assert_int_equal(h->backend.requests[FAKE_BUILD], 0);
    pass(h, IDLE);
    assert_int_equal(fake_backend_pending(&h->backend, FAKE_REMOVE, "host"), 1);
    find(h, "shared", 1); /* told twice: kept once */
    assert_int_equal(h->backend.handles, 2);
    house_end(h);
}

static void a_network_lost_while_held_is_built_anew_by_the_next_acquire(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    struct peer *bob = come_and_hold(h, BOB, "shared");
    live(h, "shared", 2);
    lose(h, "shared");
    assert_string_equal(state_of(h, "shared"), "");
    assert_int_equal(h->backend.handles, 0);
    assert_refused(start(h, alice, &on_shared), STATUS_INVALID_REQUEST, "acquire it first");

    struct call *call = acquire(h, alice, "shared");
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(call);
    assert_int_equal(list(h, alice)->networks[0].clients, 1);
    broker_peer_gone(bob); /* who holds nothing of the new one */
    assert_string_equal(state_of(h, "shared"), "ready");
    house_end(h);
}

static void a_network_can_be_lost_in_any_state(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    lose(h, "shared"); /* that never was */

    struct peer *alice = come(h, ALICE);
    struct call *call = acquire(h, alice, "shared");
    lose(h, "shared"); /* creating: the outcome still comes */
    assert_waits(call);
    fail_job(h, FAKE_BUILD, "shared", -ECONNRESET, "the helper died");
    assert_refused(call, STATUS_CREATE_FAILURE, "the helper died");

    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    lose(h, "shared"); /* idle */
    assert_string_equal(state_of(h, "shared"), "");
    pass(h, 2 * IDLE);
    assert_int_equal(h->backend.requests[FAKE_REMOVE], 0);

    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    pass(h, IDLE);
    lose(h, "shared"); /* removing: then a failure to remove it is none */
    call = acquire(h, alice, "shared");
    fail_job(h, FAKE_REMOVE, "shared", -ECONNRESET, NULL);
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(call);

    release(h, alice, "shared");
    pass(h, IDLE);
    fail_job(h, FAKE_REMOVE, "shared", -EBUSY, NULL);
    lose(h, "shared"); /* stuck */
    assert_string_equal(state_of(h, "shared"), "");
    house_end(h);
}

/* --- bad input and limits --- */

static void a_malformed_network_name_is_refused_before_it_is_looked_up(void **unused)
{
    static const struct {
        const char *name, *words;
    } cases[] = {
        { "Foo/..", "network name 'Foo/..' is malformed: use 1 to 63 characters of a-z" },
        { "", "network name '' is malformed" },
        { NULL, "network name '' is malformed" },
        { "../../etc/passwd", "malformed" },
        { "sh\nared\x1b[31m", "'sh?ared?[31m'" },
        { "sch\xc3\xb6n", "'sch??n'" },
        { "a234567890123456789012345678901234567890123456789012345678901234",
          "'a234567890123456789012345678901234567890...'" },
    };
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come(h, ALICE);
    for (size_t i = 0; i < N(cases); i++)
        assert_refused(acquire(h, alice, cases[i].name), STATUS_INVALID_REQUEST, cases[i].words);
    assert_refused(acquire(h, alice, "lab"), STATUS_NOT_FOUND, "no network 'lab' is defined");
    house_end(h);
}

static void one_user_has_only_so_many_connections_and_others_do_not_notice(void **unused)
{
    struct house *h = house_build(&(struct broker_config){
        .idle_timeout_sec = 120, .owner = OWNER, .limits.connections = 2 });
    struct failure failure;
    struct peer_cred third = { .uid = ALICE, .gid = ALICE, .pid = 9 };
    (void)unused;
    struct peer *alice = come(h, ALICE);
    come(h, ALICE);
    assert_null(broker_peer_new(h->broker, &third, &failure));
    assert_int_equal(failure.err, -EDQUOT);
    assert_non_null(strstr(failure.why, "uid 1000 has 2 connections"));
    come(h, BOB);
    broker_peer_gone(alice);
    come(h, ALICE);
    house_end(h);
}

static void one_user_has_only_so_many_networks_over_all_connections(void **unused)
{
    struct house *h = house_build(
        &(struct broker_config){ .idle_timeout_sec = 120, .owner = OWNER, .limits.networks = 1 });
    (void)unused;
    struct peer *alice = come(h, ALICE), *too = come(h, ALICE), *bob = come(h, BOB);
    acquire(h, alice, "shared"); /* awaiting counts like holding */
    assert_refused(acquire(h, too, "host"), STATUS_NOT_ALLOWED, "uid 1000 has 1 networks");
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(acquire(h, too, "shared")); /* the same one is no second */
    assert_got_network(acquire(h, alice, "shared"));
    assert_waits(acquire(h, bob, "host"));
    release(h, alice, "shared");
    release(h, too, "shared");
    finish(h, FAKE_BUILD, "host");
    assert_got_network(acquire(h, alice, "host"));
    assert_refused(acquire(h, alice, "lab"), STATUS_NOT_FOUND, "lab"); /* before the limit */
    house_end(h);
}

static void one_user_has_only_so_many_interfaces_those_being_started_included(void **unused)
{
    struct house *h = house_build(
        &(struct broker_config){ .idle_timeout_sec = 120, .owner = OWNER, .limits.interfaces = 6 });
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    struct peer *too = come_and_hold(h, ALICE, "shared");
    h->backend.interfaces_of_uid = 2;
    start(h, alice, &on_shared);
    assert_refused(start(h, too, &on_shared), STATUS_NOT_ALLOWED, "uid 1000 has 3 interfaces");
    finish(h, FAKE_START, "shared");
    assert_waits(start(h, too, &on_shared));
    house_end(h);
}

static void one_user_has_only_so_many_queues_those_being_started_included(void **unused)
{
    static const struct iface_request wide = { .network = "shared", .queues = 8 };
    struct house *h = house_build(
        &(struct broker_config){ .idle_timeout_sec = 120, .owner = OWNER, .limits.queues = 16 });
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    struct peer *too = come_and_hold(h, ALICE, "shared");
    h->backend.queues_of_uid = 4;
    assert_waits(start(h, alice, &wide));
    assert_refused(start(h, too, &wide), STATUS_NOT_ALLOWED, "uid 1000 would have 20 queues");
    assert_waits(start(h, too, &on_shared));
    house_end(h);
}

static void one_user_lets_only_so_many_requests_wait_and_what_needs_no_waiting_is_answered(void **u)
{
    struct house *h = house_build(
        &(struct broker_config){ .idle_timeout_sec = 120, .owner = OWNER, .limits.waiting = 2 });
    (void)u;
    struct peer *alice = come_and_hold(h, ALICE, "host"), *one = come(h, ALICE);
    struct peer *two = come(h, ALICE), *three = come(h, ALICE), *bob = come(h, BOB);
    acquire(h, one, "shared");
    acquire(h, two, "shared");
    assert_refused(acquire(h, three, "shared"), STATUS_NOT_ALLOWED, "uid 1000 has 2 requests");
    assert_refused(start(h, alice, &(struct iface_request){ .network = "host", .queues = 1 }),
                   STATUS_NOT_ALLOWED, "uid 1000 has 2 requests");
    assert_refused(status(h, alice, NULL), STATUS_NOT_ALLOWED, "uid 1000 has 2 requests");
    assert_got_network(acquire(h, three, "host"));
    assert_waits(acquire(h, bob, "shared"));
    broker_peer_gone(one); /* with what it waits for */
    assert_waits(acquire(h, three, "shared"));
    finish(h, FAKE_BUILD, "shared");
    assert_waits(status(h, alice, NULL));
    house_end(h);
}

static void the_last_connections_of_all_are_for_root_and_the_owner(void **unused)
{
    struct house *h = house_build(&(struct broker_config){
        .idle_timeout_sec = 120, .owner = OWNER, .limits.all_connections = 2 });
    struct failure failure;
    struct peer_cred third = { .uid = BOB + 1, .gid = BOB, .pid = 9 };
    (void)unused;
    come(h, ALICE);
    come(h, BOB);
    assert_null(broker_peer_new(h->broker, &third, &failure));
    assert_int_equal(failure.err, -EDQUOT);
    assert_non_null(strstr(failure.why, "2 programs are connected"));
    come(h, 0);
    come(h, OWNER);
    house_end(h);
}

/* --- List and Status --- */

static void everybody_sees_counts_and_only_ones_own_processes(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared"); /* pid 100 */
    struct peer *bob = come_and_hold(h, BOB, "shared");     /* pid 101 */
    live(h, "shared", 3);

    struct call *call = status(h, bob, NULL);
    assert_waits(call);
    finish(h, FAKE_INSPECT, NULL);
    assert_int_equal(call->answer, FAKE_REPORT);
    assert_true(call->detailed);
    assert_false(call->sees_all);
    assert_int_equal(call->networks[0].clients, 2);
    assert_int_equal(call->networks[0].interfaces, 3);
    assert_int_equal(call->networks[0].n_holders, 1);
    assert_int_equal(call->networks[0].holders[0], 101);

    call = status(h, come(h, OWNER), "shared");
    finish(h, FAKE_INSPECT, NULL);
    assert_true(call->sees_all);
    assert_int_equal(call->networks[0].n_holders, 2);
    call = status(h, come(h, 0), "shared");
    finish(h, FAKE_INSPECT, NULL);
    assert_int_equal(call->networks[0].n_holders, 2);

    call = list(h, alice); /* counts only, and no question to anybody */
    assert_int_equal(call->answer, FAKE_REPORT);
    assert_false(call->detailed);
    assert_int_equal(call->networks[0].clients, 2);
    assert_int_equal(call->networks[0].n_holders, 0);
    house_end(h);
}

static void status_of_one_network_names_it_or_says_that_it_is_not_there(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    struct peer *bob = come_and_hold(h, BOB, "host");
    struct call *call = status(h, alice, "host");
    finish(h, FAKE_INSPECT, NULL);
    assert_int_equal(call->n_networks, 1);
    assert_string_equal(call->networks[0].name, "host");

    assert_refused(status(h, alice, "lab"), STATUS_NOT_FOUND, "'lab'");
    assert_refused(status(h, alice, "La b"), STATUS_INVALID_REQUEST, "malformed");

    broker_peer_gone(bob); /* and it goes while we look */
    call = status(h, alice, "host");
    lose(h, "host");
    finish(h, FAKE_INSPECT, NULL);
    assert_refused(call, STATUS_NOT_FOUND, "'host'");
    house_end(h);
}

static void status_is_answered_whatever_the_helper_does(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    h->backend.problem = "the helper does not answer";
    pass(h, 5 * SEC);
    struct call *call = status(h, alice, NULL);
    fail_job(h, FAKE_INSPECT, NULL, -ETIMEDOUT, NULL);
    assert_int_equal(call->answer, FAKE_REPORT);
    assert_string_equal(call->problem, "the helper does not answer");
    assert_int_equal(call->uptime_usec, 5 * SEC);

    h->backend.fail_at_once[FAKE_INSPECT] = -EPIPE;
    assert_int_equal(status(h, alice, NULL)->answer, FAKE_REPORT);

    struct backend_ops ops = fake_backend_ops;
    ops.inspect = NULL;
    broker_set_backend(h->broker, &(struct backend){ &ops, &h->backend });
    assert_int_equal(status(h, alice, NULL)->answer, FAKE_REPORT);
    house_end(h);
}

static void one_user_asks_the_helper_a_few_times_at_once_and_then_gets_what_is_known(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice[6], *bob = come(h, BOB);
    struct call *calls[6];
    for (size_t i = 0; i < N(alice); i++) {
        alice[i] = come(h, ALICE);
        calls[i] = status(h, alice[i], NULL);
    }
    for (size_t i = 0; i < N(alice); i++)
        assert_int_equal(calls[i]->answer, i < 4 ? FAKE_NOTHING_YET : FAKE_REPORT);
    assert_waits(status(h, bob, NULL));
    finish(h, FAKE_INSPECT, "");
    assert_int_equal(calls[0]->answer, FAKE_REPORT);
    assert_waits(status(h, alice[0], NULL));
    house_end(h);
}

static void who_asks_for_the_status_and_goes_is_forgotten(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come(h, ALICE);
    struct call *call = status(h, alice, NULL);
    broker_peer_gone(alice);
    finish(h, FAKE_INSPECT, NULL);
    assert_waits(call);
    house_end(h);
}

/* --- Stop --- */

static void an_unused_broker_stops_after_it_has_answered(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct call *call = stop(h, come(h, OWNER));
    assert_int_equal(call->answer, FAKE_DONE);
    assert_true(h->loop.quit);
    assert_int_equal(h->loop.exit_code, 0);
    house_end(h);
}

static void stop_is_refused_while_a_network_is_used_and_says_by_whom(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared"); /* pid 100 */
    broker_peer_gone(come_and_hold(h, ALICE, "host"));
    struct peer *owner = come(h, OWNER);
    assert_refused(stop(h, owner), STATUS_NOT_ALLOWED,
                   "'shared' by 1 client (pid 100) and 0 interfaces");
    assert_string_equal(state_of(h, "host"), "idle"); /* nothing has happened */
    live(h, "shared", 2);
    broker_peer_gone(alice);
    assert_refused(stop(h, owner), STATUS_NOT_ALLOWED, "'shared' by 0 clients and 2 interfaces");

    acquire(h, come(h, BOB), "host");
    struct call *creating = acquire(h, come(h, BOB), "shared");
    assert_got_network(creating);
    assert_refused(stop(h, owner), STATUS_NOT_ALLOWED, "'host' by 1 client");
    assert_false(h->loop.quit);
    house_end(h);
}

static void stop_names_many_users_within_its_bounds(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    for (int i = 0; i < 30; i++)
        come_and_hold(h, ALICE, "shared");
    struct call *call = stop(h, come(h, OWNER));
    assert_refused(call, STATUS_NOT_ALLOWED, "30 clients (pid 100, 101, ");
    assert_refused(call, STATUS_NOT_ALLOWED, ", ...)");
    house_end(h);
}

static void stop_removes_idle_networks_first(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    broker_peer_gone(come_and_hold(h, ALICE, "host"));
    struct call *call = stop(h, come(h, OWNER));
    assert_waits(call);
    finish(h, FAKE_REMOVE, "shared");
    assert_waits(call);
    assert_false(h->loop.quit);
    finish(h, FAKE_REMOVE, "host");
    assert_int_equal(call->answer, FAKE_DONE);
    assert_true(h->loop.quit);
    house_end(h);
}

static void stop_waits_for_what_is_being_created_for_nobody_or_removed(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come(h, ALICE);
    acquire(h, alice, "shared");
    broker_peer_gone(alice);
    broker_peer_gone(come_and_hold(h, BOB, "host"));
    pass(h, IDLE);
    struct call *call = stop(h, come(h, OWNER));
    finish(h, FAKE_REMOVE, "host");
    assert_waits(call);
    finish(h, FAKE_BUILD, "shared");
    assert_waits(call);
    finish(h, FAKE_REMOVE, "shared");
    assert_int_equal(call->answer, FAKE_DONE);
    assert_true(h->loop.quit);
    house_end(h);
}

static void who_acquires_meanwhile_comes_before_a_stop(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    struct call *stopped = stop(h, come(h, OWNER));
    struct peer *bob = come(h, BOB);
    struct call *acquired = acquire(h, bob, "shared");
    assert_refused(stopped, STATUS_NOT_ALLOWED, "'shared' by 1 client");
    finish(h, FAKE_REMOVE, "shared");
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(acquired);
    assert_false(h->loop.quit);

    broker_peer_gone(bob); /* and afterwards the stop is forgotten */
    assert_string_equal(state_of(h, "shared"), "idle");
    assert_int_equal(pending(h, FAKE_REMOVE), 0);
    house_end(h);
}

static void stop_says_so_when_a_network_cannot_be_removed(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *owner = come(h, OWNER);
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    struct call *call = stop(h, owner);
    fail_job(h, FAKE_REMOVE, "shared", -EBUSY, "the bridge is busy");
    assert_refused(call, STATUS_INTERNAL_ERROR, "'shared' cannot be removed");

    h->backend.fail_at_once[FAKE_REMOVE] = -EAGAIN;
    assert_refused(stop(h, owner), STATUS_INTERNAL_ERROR, "'shared' cannot be removed");
    h->backend.fail_at_once[FAKE_REMOVE] = 0;
    assert_false(h->loop.quit);

    call = stop(h, owner); /* a new stop is a new attempt */
    finish(h, FAKE_REMOVE, "shared");
    assert_int_equal(call->answer, FAKE_DONE);
    assert_true(h->loop.quit);
    house_end(h);
}

static void who_asked_for_the_stop_may_go_and_another_may_ask_too(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    struct peer *owner = come(h, OWNER);
    struct call *first = stop(h, owner);
    struct call *second = stop(h, come(h, 0));
    broker_peer_gone(owner);
    finish(h, FAKE_REMOVE, "shared");
    assert_waits(first);
    assert_int_equal(second->answer, FAKE_DONE);
    assert_true(h->loop.quit);
    house_end(h);
}

static void other_users_may_not_stop_the_broker(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    assert_refused(stop(h, come(h, ALICE)), STATUS_NOT_ALLOWED, "uid 1000 may not stop");
    assert_false(h->loop.quit);
    house_end(h);
}

/* --- leaving when nobody needs us --- */

static void a_broker_started_on_demand_leaves_after_its_last_network(void **unused)
{
    struct house *h = house_on_demand();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    pass(h, IDLE);
    assert_false(h->loop.quit); /* the network is still there */
    finish(h, FAKE_REMOVE, "shared");
    assert_true(h->loop.quit);
    house_end(h);
}

static void one_that_nobody_ever_called_leaves_too(void **unused)
{
    struct house *h = house_on_demand();
    (void)unused;
    pass(h, IDLE - 1);
    assert_false(h->loop.quit);
    pass(h, 1);
    assert_true(h->loop.quit);
    house_end(h);
}

struct door {
    struct house *house;
    struct peer *comes; /* set: who stood there */
    bool somebody;
    unsigned asked;
};

static bool at_last_call(void *arg)
{
    struct door *door = arg;

    assert_false(door->house->loop.quit);
    door->asked++;
    if (door->somebody)
        door->comes = come(door->house, ALICE);
    return door->somebody;
}

static void who_stands_at_the_door_as_the_time_comes_keeps_the_broker(void **unused)
{
    struct door door = { .somebody = true };
    struct house *h = house_build(&(struct broker_config){ .idle_timeout_sec = 120,
                                                           .owner = OWNER,
                                                           .exit_when_idle = true,
                                                           .last_call = at_last_call,
                                                           .last_call_arg = &door });
    (void)unused;
    door.house = h;
    pass(h, IDLE);
    assert_int_equal(door.asked, 1);
    assert_false(h->loop.quit);
    broker_peer_gone(door.comes);
    door.somebody = false;
    pass(h, IDLE - 1);
    assert_int_equal(door.asked, 1);
    pass(h, 1);
    assert_int_equal(door.asked, 2);
    assert_true(h->loop.quit);
    house_end(h);
}

static void a_silent_connection_keeps_the_broker_and_starts_the_delay_anew(void **unused)
{
    struct house *h = house_on_demand();
    (void)unused;
    pass(h, IDLE - 1);
    struct peer *alice = come(h, ALICE);
    assert_int_equal(fake_loop_running(&h->loop), 0);
    pass(h, 10 * IDLE);
    assert_false(h->loop.quit);
    broker_peer_gone(alice);
    pass(h, IDLE - 1);
    assert_false(h->loop.quit);
    pass(h, 1);
    assert_true(h->loop.quit);
    house_end(h);
}

static void a_network_that_stays_longer_keeps_the_broker(void **unused)
{
    struct house *h = house_on_demand();
    struct net_def def;
    (void)unused;
    net_def_default("lab", NET_MODE_HOST, &def); /* that nobody defines any more */
    def.idle_timeout_sec = 600;
    h->events.found(h->events.arg, &def, fake_net_handle(&h->backend), 0);
    pass(h, 599 * SEC);
    assert_false(h->loop.quit);
    pass(h, 1 * SEC);
    finish(h, FAKE_REMOVE, "lab");
    assert_true(h->loop.quit);
    house_end(h);
}

static void interfaces_without_a_client_keep_the_broker(void **unused)
{
    struct house *h = house_on_demand();
    (void)unused;
    find(h, "shared", 1);
    pass(h, 10 * IDLE);
    assert_false(h->loop.quit);
    live(h, "shared", 0);
    pass(h, IDLE);
    finish(h, FAKE_REMOVE, "shared");
    assert_true(h->loop.quit);
    house_end(h);
}

static void a_client_that_comes_while_the_last_network_goes_keeps_the_broker(void **unused)
{
    struct house *h = house_on_demand();
    (void)unused;
    broker_peer_gone(come_and_hold(h, ALICE, "shared"));
    pass(h, IDLE);
    struct peer *bob = come(h, BOB);
    finish(h, FAKE_REMOVE, "shared");
    assert_false(h->loop.quit);
    assert_waits(acquire(h, bob, "shared"));
    pass(h, 10 * IDLE);
    finish(h, FAKE_BUILD, "shared");
    assert_false(h->loop.quit);
    house_end(h);
}

/* --- what a transport may do from inside an answer --- */

struct next {
    struct house *house;
    struct peer *peer;
    struct call *call;
    const char *network;
};

static void next_acquires(void *arg)
{
    struct next *next = arg;
    broker_acquire(next->peer, next->call, next->network);
}

static void next_releases(void *arg)
{
    struct next *next = arg;
    broker_release(next->peer, next->call, next->network);
}

static void next_is_gone(void *arg)
{
    struct next *next = arg;
    broker_peer_gone(next->peer);
}

/* Makes the answer to `call` lead to another request. */
static void then(struct call *call, struct next *next, void (*what)(void *))
{
    call->then = what;
    call->arg = next;
}

static void refused_clients_may_ask_again_or_go_from_inside_the_refusal(void **unused)
{
    struct house *h = house_new();
    struct next again = { h, come(h, ALICE), new_call(h), "shared" };
    struct next gone = { .peer = come(h, BOB) };
    struct next gone_too = { .peer = come(h, BOB) };
    struct call *first = new_call(h), *second = new_call(h);
    (void)unused;
    then(first, &again, next_acquires);
    then(second, &gone_too, next_is_gone); /* of another connection, that waits as well */
    broker_acquire(again.peer, first, "shared");
    broker_acquire(gone.peer, second, "shared");
    acquire(h, gone_too.peer, "shared");
    fail_job(h, FAKE_BUILD, "shared", -ENETDOWN, NULL);
    assert_int_equal(first->answer, FAKE_ERROR);
    assert_int_equal(second->answer, FAKE_ERROR);
    assert_waits(again.call); /* for a network of its own */
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(again.call);
    house_end(h);
}

static void answered_clients_may_release_or_go_from_inside_the_answer(void **unused)
{
    struct house *h = house_new();
    struct next releases = { h, come(h, ALICE), new_call(h), "shared" };
    struct next gone = { .peer = come(h, BOB) };
    struct call *first = new_call(h), *second = new_call(h);
    (void)unused;
    then(first, &releases, next_releases);
    then(second, &gone, next_is_gone);
    broker_acquire(releases.peer, first, "shared");
    broker_acquire(gone.peer, second, "shared");
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(first);
    assert_got_network(second);
    assert_int_equal(releases.call->answer, FAKE_DONE);
    assert_string_equal(state_of(h, "shared"), "idle");
    house_end(h);
}

/* A release, a stop, and somebody else who wants the network that is going. */
static void next_releases_stops_and_another_acquires(void *arg)
{
    struct next *next = arg;
    struct house *h = next->house;
    assert_int_equal(release(h, next->peer, "shared")->answer, FAKE_DONE);
    struct call *stopped = stop(h, next->peer);
    assert_int_equal(pending(h, FAKE_REMOVE), 1);
    broker_acquire(come(h, BOB), next->call, "shared");
    assert_refused(stopped, STATUS_NOT_ALLOWED, "'shared'");
}

static void nobody_gets_a_network_that_went_while_others_were_answered(void **unused)
{
    struct house *h = house_new();
    struct next next = { h, come(h, OWNER), new_call(h), "shared" };
    struct call *call = new_call(h);
    (void)unused;
    then(call, &next, next_releases_stops_and_another_acquires);
    broker_acquire(next.peer, call, "shared");
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(call);
    assert_waits(next.call);
    finish(h, FAKE_REMOVE, "shared");
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(next.call);
    assert_int_equal(fake_net_handle_serial(next.call->network), 2);
    house_end(h);
}

static void who_acquires_right_behind_the_answer_to_stop_keeps_the_broker(void **unused)
{
    struct house *h = house_new();
    struct next next = { h, come(h, OWNER), new_call(h), "shared" };
    struct call *call = new_call(h);
    (void)unused;
    then(call, &next, next_acquires);
    broker_stop(next.peer, call);
    assert_int_equal(call->answer, FAKE_DONE);
    assert_false(h->loop.quit);
    finish(h, FAKE_BUILD, "shared");
    assert_got_network(next.call);
    house_end(h);
}

/* --- the end, and the log --- */

static void a_broker_can_end_in_the_middle_of_everything(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    start(h, alice, &on_shared);
    acquire(h, come(h, BOB), "host");
    status(h, come(h, BOB), NULL);
    broker_peer_gone(alice);
    pass(h, IDLE);
    assert_int_equal(pending(h, FAKE_REMOVE), 1);
    house_end(h);
}

static void a_line_of_the_log_begins_with_the_peer_and_says_what_it_got(void **unused)
{
    char text[4096] = "";
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    (void)unused;

    assert_true(file && saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    log_init("test", LOG_LEVEL_INFO);
    struct house *h = house_new();
    struct peer *alice = come_and_hold(h, ALICE, "shared");
    come_and_hold(h, ALICE, "shared");
    acquire(h, alice, "no such");
    broker_peer_gone(alice);
    house_end(h);
    log_init("test", LOG_LEVEL_ERROR);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);

    rewind(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    (void)fclose(file);
    assert_non_null(strstr(text, "network 'shared': created\n"));
    assert_non_null(strstr(text, ": [peer 1 pid 100 uid 1000] acquired 'shared' (1 client)\n"));
    assert_non_null(strstr(text, ": [peer 2 pid 101 uid 1000] acquired 'shared' (2 clients)\n"));
    assert_non_null(strstr(text, ": [peer 1 pid 100 uid 1000] refused: network name 'no such'"));
    assert_non_null(strstr(
        text, ": [peer 1 pid 100 uid 1000] disconnected, released 'shared' (1 client left)\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_client_comes_and_goes),
        cmocka_unit_test(an_existing_network_is_answered_from_inside_the_verb),
        cmocka_unit_test(acquiring_twice_is_one_reference_and_the_same_answer),
        cmocka_unit_test(one_client_holds_many_networks_and_releases_them_one_by_one),
        cmocka_unit_test(the_network_stays_until_the_last_client_goes),
        cmocka_unit_test(releasing_what_is_not_held_is_an_error),
        cmocka_unit_test(all_who_wait_for_a_creation_get_its_one_outcome),
        cmocka_unit_test(creation_fails_with_three_waiting_and_the_next_attempt_starts_afresh),
        cmocka_unit_test(a_client_leaves_while_its_network_is_created),
        cmocka_unit_test(one_of_two_leaves_while_their_network_is_created),
        cmocka_unit_test(a_client_leaves_and_the_creation_fails),
        cmocka_unit_test(a_build_that_cannot_even_begin_is_a_create_failure),
        cmocka_unit_test(one_networks_creation_holds_up_nobody_else),
        cmocka_unit_test(whoever_comes_back_in_time_keeps_the_network),
        cmocka_unit_test(a_client_returns_during_the_removal_and_gets_a_new_network),
        cmocka_unit_test(a_client_returns_during_the_removal_but_leaves_again),
        cmocka_unit_test(interfaces_that_went_with_a_network_do_not_keep_the_next_one),
        cmocka_unit_test(a_removal_that_fails_is_tried_again_later),
        cmocka_unit_test(who_waits_for_a_removal_that_fails_hears_why_and_may_try_again),
        cmocka_unit_test(removing_what_is_gone_already_has_worked),
        cmocka_unit_test(an_idle_time_of_zero_removes_at_once_and_never_loops),
        cmocka_unit_test(a_network_with_its_own_idle_time_keeps_to_that),
        cmocka_unit_test(a_live_interface_uses_the_network_after_its_client_has_gone),
        cmocka_unit_test(an_interface_is_started_for_who_holds_the_network),
        cmocka_unit_test(an_interface_needs_a_network_that_this_connection_holds),
        cmocka_unit_test(a_malformed_interface_is_refused_in_words),
        cmocka_unit_test(a_start_that_fails_keeps_its_own_number),
        cmocka_unit_test(an_interface_whose_client_has_gone_is_ended),
        cmocka_unit_test(by_name_only_where_clients_can_enter_the_namespace),
        cmocka_unit_test(where_clients_start_interfaces_themselves_they_are_told),
        cmocka_unit_test(what_the_helper_has_is_adopted),
        cmocka_unit_test(a_network_lost_while_held_is_built_anew_by_the_next_acquire),
        cmocka_unit_test(a_network_can_be_lost_in_any_state),
        cmocka_unit_test(a_malformed_network_name_is_refused_before_it_is_looked_up),
        cmocka_unit_test(one_user_has_only_so_many_connections_and_others_do_not_notice),
        cmocka_unit_test(one_user_has_only_so_many_networks_over_all_connections),
        cmocka_unit_test(one_user_has_only_so_many_interfaces_those_being_started_included),
        cmocka_unit_test(one_user_has_only_so_many_queues_those_being_started_included),
        cmocka_unit_test(
            one_user_lets_only_so_many_requests_wait_and_what_needs_no_waiting_is_answered),
        cmocka_unit_test(the_last_connections_of_all_are_for_root_and_the_owner),
        cmocka_unit_test(everybody_sees_counts_and_only_ones_own_processes),
        cmocka_unit_test(status_of_one_network_names_it_or_says_that_it_is_not_there),
        cmocka_unit_test(status_is_answered_whatever_the_helper_does),
        cmocka_unit_test(one_user_asks_the_helper_a_few_times_at_once_and_then_gets_what_is_known),
        cmocka_unit_test(who_asks_for_the_status_and_goes_is_forgotten),
        cmocka_unit_test(an_unused_broker_stops_after_it_has_answered),
        cmocka_unit_test(stop_is_refused_while_a_network_is_used_and_says_by_whom),
        cmocka_unit_test(stop_names_many_users_within_its_bounds),
        cmocka_unit_test(stop_removes_idle_networks_first),
        cmocka_unit_test(stop_waits_for_what_is_being_created_for_nobody_or_removed),
        cmocka_unit_test(who_acquires_meanwhile_comes_before_a_stop),
        cmocka_unit_test(stop_says_so_when_a_network_cannot_be_removed),
        cmocka_unit_test(who_asked_for_the_stop_may_go_and_another_may_ask_too),
        cmocka_unit_test(other_users_may_not_stop_the_broker),
        cmocka_unit_test(a_broker_started_on_demand_leaves_after_its_last_network),
        cmocka_unit_test(one_that_nobody_ever_called_leaves_too),
        cmocka_unit_test(who_stands_at_the_door_as_the_time_comes_keeps_the_broker),
        cmocka_unit_test(a_silent_connection_keeps_the_broker_and_starts_the_delay_anew),
        cmocka_unit_test(a_network_that_stays_longer_keeps_the_broker),
        cmocka_unit_test(interfaces_without_a_client_keep_the_broker),
        cmocka_unit_test(a_client_that_comes_while_the_last_network_goes_keeps_the_broker),
        cmocka_unit_test(refused_clients_may_ask_again_or_go_from_inside_the_refusal),
        cmocka_unit_test(answered_clients_may_release_or_go_from_inside_the_answer),
        cmocka_unit_test(nobody_gets_a_network_that_went_while_others_were_answered),
        cmocka_unit_test(who_acquires_right_behind_the_answer_to_stop_keeps_the_broker),
        cmocka_unit_test(a_broker_can_end_in_the_middle_of_everything),
        cmocka_unit_test(a_line_of_the_log_begins_with_the_peer_and_says_what_it_got),
    };
    log_init("test", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests_name("broker", tests, NULL, NULL);
}
