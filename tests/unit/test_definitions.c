/* SPDX-License-Identifier: Apache-2.0 */
/* The core and definition files: what is read when, who may use a network, what a change does to
 * one that exists, and networks that exist by themselves. */
#include "broker.h"
#include "broker_state.h"
#include "fake_backend.h"
#include "fake_definitions.h"
#include "fake_loop.h"
#include "fake_transport.h"
#include "redefine.h"
#include "registry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OWNER 500
#define ALICE 1000
#define BOB   1001
#define STAFF 50
#define IDLE  (120 * USEC_PER_SEC)

struct house {
    struct fake_loop loop;
    struct fake_backend backend;
    struct fake_definitions files;
    struct broker *broker;
    struct backend_events events;
    struct call calls[32];
    size_t n_calls;
};

static int user(const char *name, uid_t *ret)
{
    if (strcmp(name, "alice") != 0)
        return -ENOENT;
    *ret = ALICE;
    return 0;
}

static int group(const char *name, gid_t *ret)
{
    if (strcmp(name, "staff") != 0)
        return -ENOENT;
    *ret = STAFF;
    return 0;
}

static struct house *house_new(void)
{
    struct house *h = calloc(1, sizeof *h);
    assert_non_null(h);
    fake_loop_init(&h->loop);
    fake_backend_init(&h->backend);
    fake_definitions_init(&h->files);
    const struct broker_config config = { .idle_timeout_sec = 120,
                                          .owner = OWNER,
                                          .definitions = h->files.source,
                                          .accounts = { user, group } };
    h->broker = broker_new(&config, &h->loop.loop, &fake_transport_ops);
    assert_non_null(h->broker);
    h->events = broker_backend_events(h->broker);
    broker_set_backend(h->broker, &h->backend.backend);
    return h;
}

static void house_end(struct house *h)
{
    broker_free(h->broker);
    assert_int_equal(h->backend.handles, 0);
    assert_int_equal(fake_loop_timers(&h->loop), 0);
    free(h);
}

static struct peer *come(struct house *h, uid_t uid, gid_t other)
{
    struct failure failure;
    struct peer_cred cred = { .uid = uid, .gid = uid, .pid = 9, .groups = &other, .n_groups = 1 };
    struct peer *peer = broker_peer_new(h->broker, &cred, &failure);
    assert_non_null(peer);
    return peer;
}

static struct call *acquire(struct house *h, struct peer *peer, const char *name)
{
    struct call *call = &h->calls[h->n_calls++];
    broker_acquire(peer, call, name);
    return call;
}

static void finish(struct house *h, enum fake_job_kind kind, const char *name)
{
    fake_backend_finish(&h->backend, kind, name, 0, NULL);
}

static struct call *acquire_and_get(struct house *h, struct peer *peer, const char *name)
{
    struct call *call = acquire(h, peer, name);
    finish(h, FAKE_BUILD, name);
    assert_int_equal(call->answer, FAKE_NETWORK);
    return call;
}

static void edit(struct house *h, const char *name, const char *text)
{
    fake_definitions_write(&h->files, name, text);
    broker_definitions_changed(h->broker);
}

static struct network *network(struct house *h, const char *name)
{
    return registry_find(h->broker->registry, name);
}

static void refused_as(const struct call *call, enum status status, const char *words)
{
    assert_int_equal(call->answer, FAKE_ERROR);
    assert_int_equal(call->status, status);
    if (!strstr(call->message, words))
        fail_msg("'%s' is not in: %s", words, call->message);
}

/* --- reading --- */

static void a_new_file_is_found_at_once(void **unused)
{
    struct house *h = house_new();
    struct peer *peer = come(h, ALICE, 0);
    (void)unused;
    refused_as(acquire(h, peer, "lab"), STATUS_NOT_FOUND, "/fake/NAME.json");
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\"}");
    (void)acquire_and_get(h, peer, "lab");
    assert_int_equal(network(h, "lab")->def->net.mode, NET_MODE_HOST);
    house_end(h);
}

static void an_unchanged_file_is_read_once(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\"}");
    (void)acquire_and_get(h, come(h, ALICE, 0), "lab");
    for (int i = 0; i < 5; i++)
        (void)acquire(h, come(h, BOB, 0), "lab");
    assert_int_equal(h->files.reads, 1);
    house_end(h);
}

static void a_broken_file_is_no_network_and_says_where(void **unused)
{
    struct house *h = house_new();
    struct peer *peer = come(h, ALICE, 0);
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\n  \"mode\": \"shred\"\n}");
    refused_as(acquire(h, peer, "lab"), STATUS_NOT_FOUND, "/fake/lab.json:2:");
    refused_as(acquire(h, peer, "lab"), STATUS_NOT_FOUND, "shred");
    assert_int_equal(h->files.reads, 1); /* and complained of once */
    (void)acquire_and_get(h, peer, "shared");
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"shared\"}");
    (void)acquire_and_get(h, peer, "lab");
    house_end(h);
}

static void a_deleted_file_stops_new_clients_and_lets_the_others_be(void **unused)
{
    struct house *h = house_new();
    struct peer *alice = come(h, ALICE, 0);
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\"}");
    (void)acquire_and_get(h, alice, "lab");
    edit(h, "lab", NULL);
    refused_as(acquire(h, come(h, BOB, 0), "lab"), STATUS_NOT_FOUND, "no network 'lab'");
    fake_loop_advance(&h->loop, 10 * IDLE);
    assert_int_equal(network(h, "lab")->state, NET_READY);
    house_end(h);
}

static void a_broken_edit_harms_no_network_that_exists(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\", \"persistent\": true}");
    broker_definitions_changed(h->broker);
    finish(h, FAKE_BUILD, "lab");
    edit(h, "lab", "{");
    assert_int_equal(network(h, "lab")->state, NET_READY);
    assert_true(network(h, "lab")->kept);
    house_end(h);
}

/* --- who may --- */

static void only_those_whom_allow_names_may_use_a_network(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(
        &h->files, "lab",
        "{\"mode\": \"host\", \"allow\": {\"users\": [\"alice\"], \"groups\": [\"staff\"]}}");
    refused_as(acquire(h, come(h, BOB, 7), "lab"), STATUS_NOT_ALLOWED, "1001");
    (void)acquire_and_get(h, come(h, ALICE, 7), "lab");
    assert_int_equal(acquire(h, come(h, BOB, STAFF), "lab")->answer, FAKE_NETWORK);
    assert_int_equal(acquire(h, come(h, 0, 7), "lab")->answer, FAKE_NETWORK);
    house_end(h);
}

static void a_changed_allow_counts_for_the_next_client(void **unused)
{
    struct house *h = house_new();
    struct peer *bob = come(h, BOB, 0);
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\"}");
    (void)acquire_and_get(h, bob, "lab");
    edit(h, "lab", "{\"mode\": \"host\", \"allow\": {\"users\": [\"alice\"]}}");
    refused_as(acquire(h, come(h, BOB, 0), "lab"), STATUS_NOT_ALLOWED, "/fake/lab.json");
    assert_int_equal(network(h, "lab")->clients, 1); /* bob stays */
    assert_int_equal(redefine_pending(network(h, "lab")), 0);
    house_end(h);
}

/* --- what a change does to a network that exists --- */

static void the_backend_is_told_what_can_be_applied(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\", \"subnet\": \"10.1.1.1\"}");
    (void)acquire_and_get(h, come(h, ALICE, 0), "lab");
    assert_int_equal(h->backend.updates, 0);
    edit(h, "lab",
         "{\"mode\": \"host\", \"subnet\": \"10.1.1.1\", \"dhcp_reservations\": "
         "[{\"mac\": \"52:54:00:00:00:01\", \"address\": \"10.1.1.9\"}]}");
    assert_int_equal(h->backend.updates, 1);
    assert_int_equal(redefine_pending(network(h, "lab")), 0);
    edit(h, "lab",
         "{\"mode\": \"host\", \"subnet\": \"10.1.1.1\", \"description\": \"x\", "
         "\"dhcp_reservations\": [{\"mac\": \"52:54:00:00:00:01\", \"address\": \"10.1.1.9\"}]}");
    assert_int_equal(h->backend.updates, 1);
    house_end(h);
}

static void reservations_are_told_when_the_network_is_created(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(&h->files, "lab",
                           "{\"mode\": \"host\", \"subnet\": \"10.1.1.1\", \"dhcp_reservations\": "
                           "[{\"mac\": \"52:54:00:00:00:01\", \"address\": \"10.1.1.9\"}]}");
    (void)acquire_and_get(h, come(h, ALICE, 0), "lab");
    assert_int_equal(h->backend.updates, 1);
    house_end(h);
}

static void other_changes_wait_until_nobody_uses_it(void **unused)
{
    struct house *h = house_new();
    struct peer *alice = come(h, ALICE, 0);
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\"}");
    (void)acquire_and_get(h, alice, "lab");
    edit(h, "lab", "{\"mode\": \"host\", \"mtu\": 9000}");
    assert_int_equal(redefine_pending(network(h, "lab")), 1u << KEY_MTU);
    assert_int_equal(acquire(h, come(h, BOB, 0), "lab")->answer, FAKE_NETWORK);
    assert_int_equal(network(h, "lab")->def->net.mtu, 1500);
    house_end(h);
}

static void an_idle_network_is_created_anew_before_anybody_gets_it(void **unused)
{
    struct house *h = house_new();
    struct peer *alice = come(h, ALICE, 0);
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\"}");
    (void)acquire_and_get(h, alice, "lab");
    broker_peer_gone(alice);
    edit(h, "lab", "{\"mode\": \"host\", \"mtu\": 9000}");
    struct call *call = acquire(h, come(h, BOB, 0), "lab");
    finish(h, FAKE_REMOVE, "lab");
    finish(h, FAKE_BUILD, "lab");
    assert_int_equal(call->answer, FAKE_NETWORK);
    assert_int_equal(network(h, "lab")->def->net.mtu, 9000);
    house_end(h);
}

static void a_new_idle_time_counts_at_once(void **unused)
{
    struct house *h = house_new();
    struct peer *alice = come(h, ALICE, 0);
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\", \"idle_timeout\": 600}");
    (void)acquire_and_get(h, alice, "lab");
    broker_peer_gone(alice);
    fake_loop_advance(&h->loop, 300 * USEC_PER_SEC);
    assert_int_equal(network(h, "lab")->state, NET_IDLE);
    edit(h, "lab", "{\"mode\": \"host\", \"idle_timeout\": 5}");
    fake_loop_advance(&h->loop, 5 * USEC_PER_SEC);
    assert_int_equal(network(h, "lab")->state, NET_REMOVING);
    house_end(h);
}

/* --- found at the start --- */

static void what_the_broker_chose_itself_is_no_difference(void **unused)
{
    struct house *h = house_new();
    struct net_def def;
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\"}");
    net_def_default("lab", NET_MODE_HOST, &def);
    def.subnet = (struct subnet4){ 0xc0a84000u, 24 };
    def.prefix6.len = 64;
    def.idle_timeout_sec = 120;
    h->events.found(h->events.arg, &def, fake_net_handle(&h->backend), 1);
    broker_definitions_changed(h->broker);
    assert_int_equal(redefine_pending(network(h, "lab")), 0);
    edit(h, "lab", "{\"mode\": \"host\", \"subnet\": \"10.1.1.1\"}");
    assert_int_not_equal(redefine_pending(network(h, "lab")) & 1u << KEY_SUBNET, 0);
    house_end(h);
}

/* --- persistent --- */

static void a_persistent_network_exists_without_clients(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\", \"persistent\": true}");
    broker_definitions_changed(h->broker);
    finish(h, FAKE_BUILD, "lab");
    fake_loop_advance(&h->loop, 10 * IDLE);
    assert_int_equal(network(h, "lab")->state, NET_READY);
    struct peer *alice = come(h, ALICE, 0);
    assert_int_equal(acquire(h, alice, "lab")->answer, FAKE_NETWORK);
    broker_peer_gone(alice);
    fake_loop_advance(&h->loop, 10 * IDLE);
    assert_int_equal(network(h, "lab")->state, NET_READY);
    house_end(h);
}

static void one_that_cannot_be_created_is_tried_again(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\", \"persistent\": true}");
    broker_definitions_changed(h->broker);
    fake_backend_finish(&h->backend, FAKE_BUILD, "lab", -EADDRINUSE, "the VPN has it");
    assert_null(network(h, "lab"));
    fake_loop_advance(&h->loop, 60 * USEC_PER_SEC);
    finish(h, FAKE_BUILD, "lab");
    assert_int_equal(network(h, "lab")->state, NET_READY);
    house_end(h);
}

static void one_that_is_lost_is_created_again(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\", \"persistent\": true}");
    broker_definitions_changed(h->broker);
    finish(h, FAKE_BUILD, "lab");
    h->events.lost(h->events.arg, "lab", NULL);
    fake_loop_advance(&h->loop, 60 * USEC_PER_SEC);
    finish(h, FAKE_BUILD, "lab");
    assert_int_equal(network(h, "lab")->state, NET_READY);
    house_end(h);
}

static void one_that_is_persistent_no_longer_goes_idle(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\", \"persistent\": true}");
    broker_definitions_changed(h->broker);
    finish(h, FAKE_BUILD, "lab");
    edit(h, "lab", "{\"mode\": \"host\"}");
    assert_int_equal(network(h, "lab")->state, NET_IDLE);
    assert_int_equal(redefine_pending(network(h, "lab")), 0); /* it counts at once */
    fake_loop_advance(&h->loop, IDLE);
    finish(h, FAKE_REMOVE, "lab");
    assert_null(network(h, "lab"));
    house_end(h);
}

static void one_that_nobody_uses_is_created_anew_when_it_changes(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\", \"persistent\": true}");
    broker_definitions_changed(h->broker);
    finish(h, FAKE_BUILD, "lab");
    edit(h, "lab", "{\"mode\": \"host\", \"persistent\": true, \"mtu\": 9000}");
    finish(h, FAKE_REMOVE, "lab");
    finish(h, FAKE_BUILD, "lab");
    assert_int_equal(network(h, "lab")->state, NET_READY);
    assert_int_equal(network(h, "lab")->def->net.mtu, 9000);
    house_end(h);
}

static void a_broker_with_one_can_be_stopped(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\", \"persistent\": true}");
    broker_definitions_changed(h->broker);
    finish(h, FAKE_BUILD, "lab");
    struct call *call = &h->calls[h->n_calls++];
    broker_stop(come(h, OWNER, 0), call);
    finish(h, FAKE_REMOVE, "lab");
    assert_int_equal(call->answer, FAKE_DONE);
    assert_true(h->loop.quit);
    house_end(h);
}

static void one_that_was_to_stop_is_kept_again_when_somebody_comes(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{\"mode\": \"host\", \"persistent\": true}");
    broker_definitions_changed(h->broker);
    finish(h, FAKE_BUILD, "lab");
    struct call *call = &h->calls[h->n_calls++];
    broker_stop(come(h, OWNER, 0), call);
    struct call *other = acquire(h, come(h, ALICE, 0), "lab");
    finish(h, FAKE_REMOVE, "lab");
    finish(h, FAKE_BUILD, "lab");
    assert_int_equal(other->answer, FAKE_NETWORK);
    assert_int_equal(call->answer, FAKE_ERROR);
    assert_true(network(h, "lab")->kept);
    house_end(h);
}

/* --- those who watch --- */

static struct call *watch(struct house *h, uid_t uid)
{
    struct call *call = &h->calls[h->n_calls++];
    broker_monitor(come(h, uid, 0), call);
    return call;
}

static void saw(const struct call *call, size_t i, enum event_kind kind, const char *network,
                unsigned count)
{
    assert_true(i < call->n_events);
    assert_int_equal(call->events[i].kind, kind);
    assert_string_equal(call->events[i].network, network);
    assert_int_equal(call->events[i].count, count);
}

static void who_watches_sees_the_life_of_a_network(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    struct call *call = watch(h, OWNER);
    struct peer *alice = come(h, ALICE, 0);
    (void)acquire_and_get(h, alice, "shared");
    (void)acquire(h, alice, "shared"); /* again: nothing new */
    broker_peer_gone(alice);
    fake_loop_advance(&h->loop, IDLE);
    finish(h, FAKE_REMOVE, "shared");
    assert_int_equal(call->n_events, 4);
    saw(call, 0, EVENT_NETWORK_CREATED, "shared", 0);
    saw(call, 1, EVENT_CLIENT_CAME, "shared", 1);
    saw(call, 2, EVENT_CLIENT_LEFT, "shared", 0);
    saw(call, 3, EVENT_NETWORK_REMOVED, "shared", 0);
    assert_true(call->events[1].client && call->events[2].client);
    house_end(h);
}

static void what_others_do_is_told_in_numbers(void **unused)
{
    struct house *h = house_new();
    struct call *call = watch(h, BOB);
    const struct event_interface web = { .uid = ALICE, .id = "web" };
    const struct event started = {
        .kind = EVENT_INTERFACE_STARTED, .network = "shared", .interface = &web, .count = 1
    };
    (void)unused;
    (void)acquire_and_get(h, come(h, ALICE, 0), "shared");
    h->events.happened(h->events.arg, &started);
    saw(call, 1, EVENT_CLIENT_CAME, "shared", 1);
    saw(call, 2, EVENT_INTERFACE_STARTED, "shared", 1);
    assert_false(call->events[1].client || call->events[2].interface);
    house_end(h);
}

static void a_broken_file_is_an_event_once(void **unused)
{
    struct house *h = house_new();
    struct call *call = watch(h, OWNER), *bobs = watch(h, BOB);
    (void)unused;
    fake_definitions_write(&h->files, "lab", "{");
    (void)acquire(h, come(h, ALICE, 0), "lab");
    (void)acquire(h, come(h, ALICE, 0), "lab");
    assert_int_equal(call->n_events, 1);
    saw(call, 0, EVENT_DEFINITION_BROKEN, "lab", 0);
    assert_non_null(strstr(call->events[0].message, "/fake/lab.json:1:"));
    assert_string_equal(bobs->events[0].message, ""); /* it would quote the file */
    house_end(h);
}

static void one_user_watches_from_only_so_many_connections(void **unused)
{
    struct house *h = house_new();
    (void)unused;
    for (unsigned i = 0; i < POLICY_WATCHERS; i++)
        assert_int_equal(watch(h, ALICE)->answer, FAKE_NOTHING_YET);
    struct call *refused = watch(h, ALICE), *bobs = watch(h, BOB);
    assert_int_equal(refused->answer, FAKE_ERROR);
    assert_int_equal(refused->status, STATUS_NOT_ALLOWED);
    assert_non_null(strstr(refused->message, "8 connections that monitor"));
    (void)acquire_and_get(h, come(h, BOB, 0), "shared");
    assert_int_equal(refused->n_events, 0);
    assert_int_equal(bobs->n_events, 2);
    house_end(h);
}

static void who_watches_and_goes_hears_nothing_of_it(void **unused)
{
    struct house *h = house_new();
    struct peer *peer = come(h, ALICE, 0);
    struct call *call = &h->calls[h->n_calls++];
    (void)unused;
    (void)acquire_and_get(h, peer, "shared");
    broker_monitor(peer, call);
    broker_peer_gone(peer);
    assert_int_equal(call->n_events, 0);
    fake_loop_advance(&h->loop, IDLE);
    finish(h, FAKE_REMOVE, "shared");
    assert_int_equal(call->n_events, 0);
    house_end(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_file_is_found_at_once),
        cmocka_unit_test(an_unchanged_file_is_read_once),
        cmocka_unit_test(a_broken_file_is_no_network_and_says_where),
        cmocka_unit_test(a_deleted_file_stops_new_clients_and_lets_the_others_be),
        cmocka_unit_test(a_broken_edit_harms_no_network_that_exists),
        cmocka_unit_test(only_those_whom_allow_names_may_use_a_network),
        cmocka_unit_test(a_changed_allow_counts_for_the_next_client),
        cmocka_unit_test(the_backend_is_told_what_can_be_applied),
        cmocka_unit_test(reservations_are_told_when_the_network_is_created),
        cmocka_unit_test(other_changes_wait_until_nobody_uses_it),
        cmocka_unit_test(an_idle_network_is_created_anew_before_anybody_gets_it),
        cmocka_unit_test(a_new_idle_time_counts_at_once),
        cmocka_unit_test(what_the_broker_chose_itself_is_no_difference),
        cmocka_unit_test(a_persistent_network_exists_without_clients),
        cmocka_unit_test(one_that_cannot_be_created_is_tried_again),
        cmocka_unit_test(one_that_is_lost_is_created_again),
        cmocka_unit_test(one_that_is_persistent_no_longer_goes_idle),
        cmocka_unit_test(one_that_nobody_uses_is_created_anew_when_it_changes),
        cmocka_unit_test(a_broker_with_one_can_be_stopped),
        cmocka_unit_test(one_that_was_to_stop_is_kept_again_when_somebody_comes),
        cmocka_unit_test(who_watches_sees_the_life_of_a_network),
        cmocka_unit_test(what_others_do_is_told_in_numbers),
        cmocka_unit_test(a_broken_file_is_an_event_once),
        cmocka_unit_test(one_user_watches_from_only_so_many_connections),
        cmocka_unit_test(who_watches_and_goes_hears_nothing_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
