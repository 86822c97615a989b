/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs about forwards: who may lead which port where, and remove whose. */
#include "broker.h"

#include "fake_backend.h"
#include "fake_loop.h"
#include "fake_transport.h"
#include "log.h"
#include "mem.h"
#include "policy.h"

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

struct house {
    struct fake_loop loop;
    struct fake_backend backend;
    struct broker *broker;
    struct peer *alice; /* holds 'shared', and has a VM there */
    struct call calls[2 * POLICY_WAITING];
    size_t n_calls;
};

static const struct forward_request web = { .network = "shared",
                                            .interface_id = "0b6bfca4-2b9b-4ab1-b0b6-8d3c3d9f8f53",
                                            .external_port = 8080,
                                            .internal_port = 80 };

static struct peer *come(struct house *h, uid_t uid)
{
    struct failure failure;
    struct peer_cred cred = { .uid = uid, .gid = uid, .pid = 9 };
    struct peer *peer = broker_peer_new(h->broker, &cred, &failure);
    assert_non_null(peer);
    return peer;
}

static struct call *new_call(struct house *h)
{
    assert_true(h->n_calls < N_ELEMENTS(h->calls));
    return &h->calls[h->n_calls++];
}

static struct house *house_new(void)
{
    struct house *h = calloc(1, sizeof *h);
    assert_non_null(h);
    fake_loop_init(&h->loop);
    fake_backend_init(&h->backend);
    const struct broker_config config = { .idle_timeout_sec = 120, .owner = OWNER };
    h->broker = broker_new(&config, &h->loop.loop, &fake_transport_ops);
    assert_non_null(h->broker);
    broker_set_backend(h->broker, &h->backend.backend);
    h->alice = come(h, ALICE);
    broker_acquire(h->alice, new_call(h), "shared");
    fake_backend_finish(&h->backend, FAKE_BUILD, "shared", 0, NULL);
    h->backend.target = (struct forward_target){ .live = true, .uid = ALICE };
    return h;
}

static void house_end(struct house *h)
{
    broker_free(h->broker);
    assert_int_equal(h->backend.handles, 0);
    assert_int_equal(fake_loop_timers(&h->loop), 0);
    free(h);
}

static struct call *add(struct house *h, struct peer *peer, const struct forward_request *request)
{
    struct call *call = new_call(h);
    broker_add_forward(peer, call, request);
    return call;
}

static struct call *drop(struct house *h, struct peer *peer)
{
    struct call *call = new_call(h);
    broker_remove_forward(peer, call, &web);
    return call;
}

static void finish(struct house *h, enum fake_job_kind kind, int err, const char *why)
{
    fake_backend_finish(&h->backend, kind, "shared", err, why);
}

static void assert_refused(const struct call *call, enum status st, const char *words)
{
    assert_int_equal(call->answer, FAKE_ERROR);
    assert_int_equal(call->status, st);
    if (!strstr(call->message, words))
        fail_msg("'%s' lacks '%s'", call->message, words);
}

static void a_user_leads_a_port_to_ones_own_vm_and_closes_it(void **unused)
{
    (void)unused;
    struct house *h = house_new();
    struct forward_request request = web;
    request.uid = 0; /* whoever a transport says it is: the kernel's word counts */
    struct call *call = add(h, h->alice, &request);
    assert_int_equal(call->answer, FAKE_NOTHING_YET);
    finish(h, FAKE_ADD_FORWARD, 0, NULL);
    assert_int_equal(call->answer, FAKE_DONE);
    assert_int_equal(h->backend.last_uid, ALICE);

    h->backend.forward_owner = ALICE;
    call = drop(h, h->alice);
    finish(h, FAKE_REMOVE_FORWARD, 0, NULL);
    assert_int_equal(call->answer, FAKE_DONE);
    house_end(h);
}

static void nobody_but_root_and_the_owner_leads_to_others(void **unused)
{
    (void)unused;
    struct house *h = house_new();
    assert_refused(add(h, come(h, BOB), &web), STATUS_NOT_ALLOWED, "this one is another user's");
    h->backend.target.live = false;
    assert_refused(add(h, h->alice, &web), STATUS_NOT_ALLOWED, "no VM is there: start it first");
    struct forward_request ssh = web;
    ssh.external_port = 22;
    h->backend.target.live = true;
    assert_refused(add(h, h->alice, &ssh), STATUS_NOT_ALLOWED, "for root only");
    h->backend.target.live = false;
    assert_int_equal(h->backend.requests[FAKE_ADD_FORWARD], 0);
    add(h, come(h, OWNER), &web);
    add(h, come(h, 0), &web);
    assert_int_equal(h->backend.requests[FAKE_ADD_FORWARD], 2);
    house_end(h);
}

static void nobody_but_root_and_the_owner_removes_others(void **unused)
{
    (void)unused;
    struct house *h = house_new();
    h->backend.forward_owner = ALICE;
    assert_refused(drop(h, come(h, BOB)), STATUS_NOT_ALLOWED,
                   "TCP port 8080 is forwarded for uid 1000: ask that user, or root");
    drop(h, come(h, OWNER));
    drop(h, come(h, 0));
    assert_int_equal(h->backend.requests[FAKE_REMOVE_FORWARD], 2);
    house_end(h);
}

static void what_a_definition_forwards_is_not_removed_here(void **unused)
{
    (void)unused;
    struct house *h = house_new();
    h->backend.forward_owner_err = -EPERM;
    assert_refused(drop(h, come(h, 0)), STATUS_NOT_ALLOWED,
                   "by the definition of network 'shared'");
    h->backend.forward_owner_err = -ENOENT;
    assert_refused(drop(h, h->alice), STATUS_NOT_FOUND, "is not forwarded to network 'shared'");
    house_end(h);
}

static void what_makes_no_sense_never_reaches_the_backend(void **unused)
{
    (void)unused;
    struct house *h = house_new();
    struct forward_request bad[] = { web, web, web, web };
    bad[0].internal_port = 0;
    bad[1].interface_id = "two words";
    bad[2].interface_id = NULL; /* and no address */
    bad[3].network = "no network";
    static const char *const words[] = { "from 1 to 65535", "interface_id 'two words' is malformed",
                                         "where should the port lead?", "malformed" };
    for (size_t i = 0; i < N_ELEMENTS(bad); i++)
        assert_refused(add(h, h->alice, &bad[i]), STATUS_INVALID_REQUEST, words[i]);
    bad[3].network = "host"; /* one that there could be */
    assert_refused(add(h, h->alice, &bad[3]), STATUS_NOT_FOUND, "'host'");
    assert_int_equal(h->backend.requests[FAKE_ADD_FORWARD], 0);
    house_end(h);
}

static void a_refusal_says_which_port_and_why(void **unused)
{
    (void)unused;
    struct house *h = house_new();
    struct call *call = add(h, h->alice, &web);
    finish(h, FAKE_ADD_FORWARD, -EADDRINUSE, "it is taken");
    assert_int_equal(call->answer, FAKE_ERROR);
    assert_string_equal(call->message, "cannot forward port 8080: it is taken");
    h->backend.fail_at_once[FAKE_ADD_FORWARD] = -ENOMEM;
    assert_string_equal(add(h, h->alice, &web)->message,
                        "cannot forward port 8080: the test says so");
    house_end(h);
}

static void who_goes_meanwhile_is_not_answered(void **unused)
{
    (void)unused;
    struct house *h = house_new();
    struct peer *bob = come(h, 0);
    struct call *call = add(h, bob, &web);
    broker_peer_gone(bob);
    finish(h, FAKE_ADD_FORWARD, 0, NULL);
    assert_int_equal(call->answer, FAKE_NOTHING_YET);
    house_end(h);
}

/* Those being added count. */
static void a_user_has_so_many_forwards(void **unused)
{
    (void)unused;
    struct house *h = house_new();
    h->backend.forwards_of_uid = POLICY_FORWARDS / 4 - 1;
    assert_int_equal(add(h, h->alice, &web)->answer, FAKE_NOTHING_YET);
    assert_refused(add(h, come(h, ALICE), &web), STATUS_NOT_ALLOWED, "forwarded ports");
    finish(h, FAKE_ADD_FORWARD, -EADDRINUSE, "it is taken");
    assert_int_equal(add(h, come(h, ALICE), &web)->answer, FAKE_NOTHING_YET);
    house_end(h);
}

static void a_system_without_them_says_what_there_is_instead(void **unused)
{
    (void)unused;
    struct house *h = house_new();
    struct backend_ops ops = fake_backend_ops;
    ops.add_forward = NULL;
    h->backend.backend.ops = &ops;
    broker_set_backend(h->broker, &h->backend.backend);
    assert_refused(add(h, h->alice, &web), STATUS_CREATE_FAILURE, "port_forwarding");
    assert_refused(drop(h, h->alice), STATUS_CREATE_FAILURE, "port_forwarding");
    house_end(h);
}

static void they_are_listed_of_a_network_that_there_is(void **unused)
{
    (void)unused;
    struct house *h = house_new();
    struct call *call = new_call(h);
    broker_list_forwards(h->alice, call, "host");
    assert_refused(call, STATUS_NOT_FOUND, "'host'");
    call = new_call(h);
    broker_list_forwards(h->alice, call, "shared");
    assert_int_equal(call->answer, FAKE_REPORT);
    assert_int_equal(call->n_networks, 1);
    assert_false(call->sees_all);
    call = new_call(h);
    broker_list_forwards(come(h, 0), call, NULL);
    assert_true(call->sees_all);
    house_end(h);
}

int main(void)
{
    log_init("test", getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_leads_a_port_to_ones_own_vm_and_closes_it),
        cmocka_unit_test(nobody_but_root_and_the_owner_leads_to_others),
        cmocka_unit_test(nobody_but_root_and_the_owner_removes_others),
        cmocka_unit_test(what_a_definition_forwards_is_not_removed_here),
        cmocka_unit_test(what_makes_no_sense_never_reaches_the_backend),
        cmocka_unit_test(a_refusal_says_which_port_and_why),
        cmocka_unit_test(who_goes_meanwhile_is_not_answered),
        cmocka_unit_test(a_user_has_so_many_forwards),
        cmocka_unit_test(a_system_without_them_says_what_there_is_instead),
        cmocka_unit_test(they_are_listed_of_a_network_that_there_is),
    };
    return cmocka_run_group_tests_name("forwards", tests, NULL, NULL);
}
