/* SPDX-License-Identifier: Apache-2.0 */
/* The Linux backend against a fake netd, which is a thread. Forwards: test_backend_forwards.c. */
#include "backend_world.h"

#include "clock.h"
#include "closer.h"
#include "fake_netd.h"
#include "fd.h"
#include "host_routes.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void build_as(struct world *w, const struct net_def *net)
{
    struct definition *def = NULL;
    assert_int_equal(definition_from_net(net, &def), 0);
    w->built = false;
    assert_int_equal(w->backend.ops->build(w->backend.self, def, on_core_built, w), 0);
    (void)definition_unref(def);
    await(w, &w->built, "built");
    assert_non_null(w->handle);
}

/* ---- the good days ----------------------------------------------------------------- */

static void a_network_is_built_used_and_removed(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    const struct netd_network *spec = &w.handle->spec;
    assert_string_equal(spec->name, "shared");
    assert_int_equal(strlen(spec->id), 36);
    assert_int_equal(spec->ipv4_prefix, 24);
    assert_int_equal(spec->ipv6[0], 0xfd);
    assert_int_equal(spec->ipv6_len, 64);
    assert_int_equal(spec->mtu, MTU_DEFAULT);
    assert_int_equal(spec->idle_timeout_sec, 120);
    assert_true(spec->flags & NETD_NET_NAT44 && spec->flags & NETD_NET_DHCP);
    assert_string_equal(w.handle->uplink, "ok");

    start_as(&w, 1000, "web", 3);
    assert_non_null(w.iface);
    assert_int_equal(w.iface->n_fds, 3);
    assert_int_equal(w.iface->spec.ipv4, spec->ipv4_base + 2);
    assert_string_equal(w.iface->spec.name, "web");
    assert_string_equal(w.iface->spec.tap, "vbt1");
    assert_int_equal(w.live, 1);
    unsigned queues = 99;
    assert_int_equal(w.backend.ops->interfaces_of(w.backend.self, 1000, &queues), 1);
    assert_int_equal(queues, 3);
    assert_int_equal(w.backend.ops->interfaces_of(w.backend.self, 1001, &queues), 0);
    assert_int_equal(queues, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(fcntl(w.iface->fds[i], F_GETFD) & FD_CLOEXEC);

    assert_int_equal(w.backend.ops->inspect(w.backend.self, on_core_inspected, &w), 0);
    await(&w, &w.inspected, "inspected");
    assert_int_equal(TAILQ_FIRST(&w.handle->interfaces)->stats.rx_bytes, 7);
    assert_int_equal(w.handle->host, NETD_IPV4);
    assert_string_equal(problem(&w), "");

    end_interface(&w);
    AWAIT(&w, w.live == 0);
    assert_true(TAILQ_EMPTY(&w.handle->interfaces));
    ask_remove(&w);
    await(&w, &w.removed, "removed");
    assert_int_equal(w.failure.err, 0);
    patient(&w);
    close_backend(&w);
    assert_int_equal(fake_asked(NETD_LEAVE), 1); /* nothing left: netd is sent home */
    world_end(&w);
}

static void a_host_network_has_no_uplink(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "host");
    assert_string_equal(w.handle->uplink, "none");
    assert_int_equal(w.handle->spec.mode, NET_MODE_HOST);
    world_end(&w);
}

static void networks_do_not_share_a_subnet(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "host");
    uint32_t first = w.handle->spec.ipv4_base;
    w.backend.ops->drop(w.backend.self, w.handle);
    must_build(&w, "shared");
    assert_int_not_equal(w.handle->spec.ipv4_base, first);
    world_end(&w);
}

static void after_a_restart_of_everything_it_is_the_same_again(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    must_start(&w, "db");
    struct iface_handle *db = w.iface;
    must_start(&w, "web");
    struct netd_interface before = w.iface->spec;
    struct netd_network network = w.handle->spec;
    iface_handle_free(db);
    end_interface(&w);
    AWAIT(&w, w.live == 0);
    ask_remove(&w);
    await(&w, &w.removed, "removed");
    close_backend(&w);

    open_backend(&w, NULL);
    must_build(&w, "shared");
    assert_int_equal(w.handle->spec.ipv4_base, network.ipv4_base);
    assert_memory_equal(w.handle->spec.ipv6, network.ipv6, 16);
    assert_string_not_equal(w.handle->spec.id, network.id); /* another life */
    must_start(&w, "web");
    assert_memory_equal(w.iface->spec.mac, before.mac, 6);
    assert_int_equal(w.iface->spec.ipv4, before.ipv4);
    end_interface(&w);
    world_end(&w);
}

static void a_name_is_free_again_when_its_tap_is_gone(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    must_start(&w, "web");
    struct iface_handle *first = w.iface;
    start_as(&w, 1000, "web", 1);
    assert_words(&w, -EEXIST, "name 'web' is already in use");
    iface_handle_free(first);
    AWAIT(&w, w.live == 0);
    start_as(&w, 1001, "web", 1);
    assert_words(&w, -EPERM, "name 'web' belongs to another user");
    must_start(&w, "web");
    end_interface(&w);
    world_end(&w);
}

static void uplink_changes_are_seen_in_the_handle(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    struct netd_uplink uplink = { .engine = "pasta", .state = "failed: no route" };
    fake_event(NETD_UPLINK, &uplink, sizeof uplink);
    AWAIT(&w, strcmp(w.handle->uplink, "failed: no route") == 0);
    assert_string_equal(problem(&w), "the uplink has failed: no route");
    world_end(&w);
}

static void a_network_has_the_state_of_its_own_way_out(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    struct net_def def;
    net_def_default("shared", NET_MODE_SHARED, &def);
    strcpy(def.external_interface, "eth1");
    build_as(&w, &def);
    assert_string_equal(w.handle->uplink, "checking");
    struct netd_uplink uplink = { .engine = "pasta", .state = "failed: no route" };
    fake_event(NETD_UPLINK, &uplink, sizeof uplink);
    uplink = (struct netd_uplink){ .interface = "eth1", .engine = "pasta", .state = "ok" };
    fake_event(NETD_UPLINK, &uplink, sizeof uplink);
    AWAIT(&w, strcmp(w.handle->uplink, "ok") == 0);
    assert_string_equal(problem(&w), "the uplink has failed: no route");
    strcpy(uplink.state, "failed: the host has no interface 'eth1'");
    fake_event(NETD_UPLINK, &uplink, sizeof uplink);
    memset(uplink.state, 0, sizeof uplink.state);
    strcpy(uplink.state, "ok");
    memset(uplink.interface, 0, sizeof uplink.interface);
    fake_event(NETD_UPLINK, &uplink, sizeof uplink);
    AWAIT(&w, strncmp(w.handle->uplink, "failed", 6) == 0 && strstr(problem(&w), "by 'eth1'"));
    world_end(&w);
}

static void a_network_may_leave_by_another_way_than_the_others(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    struct netd_uplink own = { .network = "shared",
                               .engine = "kernel",
                               .state = "failed: a chain",
                               .note = "no kernel uplink: a chain" };
    struct netd_uplink all = { .engine = "pasta", .state = "failed: no route" };
    fake_event(NETD_UPLINK, &own, sizeof own);
    AWAIT(&w, strcmp(w.handle->uplink, "failed: a chain") == 0);
    assert_string_equal(problem(&w), "no kernel uplink: a chain");
    fake_event(NETD_UPLINK, &all, sizeof all);
    own = (struct netd_uplink){ .network = "shared", .engine = "kernel", .state = "ok" };
    fake_event(NETD_UPLINK, &own, sizeof own);
    AWAIT(&w, strcmp(w.handle->uplink, "ok") == 0);
    world_end(&w);
}

static void what_is_wrong_with_a_network_s_own_way_ends_with_it(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    const struct netd_uplink own = {
        .network = "shared", .engine = "kernel", .state = "ok", .note = "a route overlaps"
    };
    fake_event(NETD_UPLINK, &own, sizeof own);
    AWAIT(&w, strcmp(problem(&w), "a route overlaps") == 0);
    ask_remove(&w);
    await(&w, &w.removed, "removed");
    assert_string_equal(problem(&w), "");
    world_end(&w);
}

static void memory_that_cannot_be_written_harms_nobody(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    char path[128];
    (void)snprintf(path, sizeof path, "%s/.memory.json.new", w.dir);
    assert_int_equal(mkdir(path, 0700), 0); /* in the way of the temporary file, even of root's */
    must_start(&w, "web");
    run_for(&w, 80);
    end_interface(&w);
    AWAIT(&w, w.live == 0);
    close_backend(&w);
    assert_int_equal(rmdir(path), 0);
    world_end(&w);
}

static bool is_written(const struct world *w)
{
    return faccessat(w->state, "memory.json", F_OK, 0) == 0;
}

static void who_will_be_forgotten_is_not_written_down(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    AWAIT(&w, is_written(&w));
    assert_int_equal(unlinkat(w.state, "memory.json", 0), 0);
    must_start(&w, NULL);
    end_interface(&w);
    AWAIT(&w, w.live == 0);
    run_for(&w, 80);
    assert_false(is_written(&w));
    must_start(&w, "web");
    end_interface(&w);
    AWAIT(&w, is_written(&w));
    world_end(&w);
}

/* ---- adoption ---------------------------------------------------------------------- */

static void what_a_running_netd_has_is_found(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    must_start(&w, "web");
    struct iface_handle *vm = w.iface; /* lives on, as a VM would */
    uint32_t base = w.handle->spec.ipv4_base;
    close_backend(&w); /* the broker goes, netd stays: it has networks */
    assert_int_equal(fake_asked(NETD_LEAVE), 0);

    open_backend(&w, NULL);
    assert_int_equal(w.found, 1);
    assert_int_equal(w.live, 1);
    assert_int_equal(w.handle->spec.ipv4_base, base);
    assert_string_equal(w.handle->uplink, "ok");
    assert_string_equal(TAILQ_FIRST(&w.handle->interfaces)->spec.name, "web");
    start_as(&w, 1000, "web", 1);
    assert_words(&w, -EEXIST, "name 'web'");
    iface_handle_free(vm);
    AWAIT(&w, w.live == 0);
    must_start(&w, "web");
    assert_int_equal(w.iface->spec.ipv4, base + 2);
    end_interface(&w);
    world_end(&w);
}

static void a_found_name_is_live_even_when_memory_is_lost(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    must_start(&w, "web");
    struct iface_handle *vm = w.iface;
    close_backend(&w);
    assert_int_equal(unlinkat(w.state, "memory.json", 0), 0);
    open_backend(&w, NULL);
    start_as(&w, 1000, "web", 1);
    assert_words(&w, -EEXIST, "name 'web'");
    must_start(&w, "db");
    assert_int_not_equal(w.iface->spec.ipv4, vm->spec.ipv4);
    end_interface(&w);
    iface_handle_free(vm);
    world_end(&w);
}

/* ---- the bad days ------------------------------------------------------------------ */

static void a_hung_netd_does_not_keep_the_broker_from_starting(void **unused)
{
    (void)unused;
    struct world w;
    world_empty(&w);
    fake_start(&w.paths);
    misbehave(HANG, NETD_HELLO);
    uint64_t began = monotonic_usec();
    open_backend(&w, NULL);
    assert_true(monotonic_usec() - began < 8000000); /* a greeting's own time is ten seconds */
    impatient(&w);
    build(&w, "shared");
    assert_words(&w, -ETIMEDOUT, "did not answer");
    world_end(&w);
}

static const struct bad_build {
    const char *story;
    enum misdeed misdeed;
    uint16_t at;
    int err;
    const char *words;
} bad_builds[] = {
    { "refused", REFUSE, NETD_BUILD, -ENETDOWN, "the kernel said no" },
    { "dies while building", DIE, NETD_BUILD, -ENETDOWN, "vmnet-netd has ended" },
    { "never answers", HANG, NETD_BUILD, -ETIMEDOUT, "did not answer within" },
    { "talks nonsense", GARBAGE, NETD_BUILD, -ENETDOWN, "makes no sense" },
    { "answers in another version", NEWER, NETD_BUILD, -ENETDOWN, "newer than this broker" },
};

static void a_failed_build_says_why_and_the_next_one_works(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(bad_builds); i++) {
        const struct bad_build *bad = &bad_builds[i];
        struct world w;
        world_begin(&w);
        misbehave(bad->misdeed, bad->at);
        if (bad->misdeed == HANG)
            impatient(&w);
        build(&w, "shared");
        if (w.failure.err != bad->err || !strstr(w.failure.why, bad->words))
            fail_msg("%s: %d, %s", bad->story, w.failure.err, w.failure.why);
        patient(&w);
        if (bad->misdeed == HANG) { /* it comes to its senses, too late */
            fake_answer_held_back();
            AWAIT(&w, fake_asked(NETD_REMOVE) == 1); /* nobody wants that any more */
        }
        misbehave(NOTHING_BAD, 0);
        must_build(&w, "shared");
        assert_int_equal(fake.n_networks, 1);
        world_end(&w);
    }
}

static void a_running_netd_of_another_version_is_named(void **unused)
{
    (void)unused;
    struct world w;
    world_empty(&w);
    fake_start(&w.paths);
    misbehave(NEWER, NETD_HELLO);
    open_backend(&w, NULL);
    build(&w, "shared");
    assert_words(&w, -ENETDOWN, "newer than this broker");
    assert_non_null(strstr(problem(&w), "end this broker (kill "));
    world_end(&w);
}

static void an_older_netd_makes_way_before_a_client_notices(void **unused)
{
    (void)unused;
    struct world w;
    world_empty(&w);
    fake_start(&w.paths);
    misbehave(OLDER, NETD_HELLO);
    open_backend(&w, NULL);
    assert_non_null(strstr(problem(&w), "older than this broker"));
    build(&w, "shared");
    assert_non_null(w.handle);
    assert_string_equal(problem(&w), "");
    world_end(&w);
}

static void nonsense_costs_the_session_and_nothing_else(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    struct netd_name nobody = { "nobody" };
    fake_event(NETD_BUILD, &nobody, sizeof nobody); /* no event */
    AWAIT(&w, fake_asked(NETD_HELLO) == 2);         /* greeted anew */
    AWAIT(&w, fake_asked(NETD_READY) == 2);
    assert_int_equal(w.lost, 0);
    must_start(&w, "web");
    end_interface(&w);
    world_end(&w);
}

static void answers_to_nothing_are_nonsense(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    struct netd_header h = { NETD_MAGIC, NETD_VERSION, NETD_BUILD, 4711, 0, 0, 0 };
    fake_say(&h, 0, 0, NULL, 0, NULL, 0);
    AWAIT(&w, fake_asked(NETD_READY) == 2);
    assert_int_equal(w.lost, 0);
    world_end(&w);
}

static void a_new_netd_that_knows_the_network_changes_nothing(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    must_start(&w, "web");
    pthread_mutex_lock(&fake.lock);
    fake_hang_up();
    pthread_mutex_unlock(&fake.lock);
    AWAIT(&w, fake_asked(NETD_READY) == 2);
    run_for(&w, 20);
    assert_int_equal(w.lost, 0);
    assert_int_equal(w.live, 1);
    end_interface(&w);
    AWAIT(&w, w.live == 0);
    world_end(&w);
}

static void a_tap_that_went_while_netd_was_away_is_noticed(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    must_start(&w, "web");
    pthread_mutex_lock(&fake.lock);
    fake_hang_up();
    end_interface(&w);
    closer_stop();
    fake_tap_gone(0); /* told to nobody */
    pthread_mutex_unlock(&fake.lock);
    AWAIT(&w, fake_asked(NETD_READY) == 2 && w.live == 0);
    must_start(&w, "web");
    end_interface(&w);
    world_end(&w);
}

static void a_network_that_a_new_netd_does_not_know_is_lost(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    pthread_mutex_lock(&fake.lock);
    fake_hang_up();
    fake.n_networks = 0;
    pthread_mutex_unlock(&fake.lock);
    AWAIT(&w, w.lost == 1);
    assert_non_null(strstr(w.lost_why, "anew"));
    must_build(&w, "shared");
    world_end(&w);
}

/* All that could enter the namespace of its only network has died. */
static void fake_strand(void)
{
    const struct netd_network *net = &fake.networks[0];

    pthread_mutex_lock(&fake.lock);
    fake.stranded = (struct netd_stranded){ .ipv4_base = net->ipv4_base,
                                            .ipv4_prefix = net->ipv4_prefix,
                                            .ipv6_len = net->ipv6_len,
                                            .holder = 815 };
    memcpy(fake.stranded.network, net->name, sizeof net->name);
    memcpy(fake.stranded.ipv6, net->ipv6, sizeof net->ipv6);
    fake.n_networks = 0;
    fake_hang_up();
    pthread_mutex_unlock(&fake.lock);
}

static void fake_stranded_over(void)
{
    pthread_mutex_lock(&fake.lock);
    fake.stranded.holder = 0;
    fake_event(NETD_STRANDED, &fake.stranded, sizeof fake.stranded);
    pthread_mutex_unlock(&fake.lock);
}

static void what_was_lost_under_its_vms_keeps_its_addresses(void **unused)
{
    struct netd_network before;
    char words[64], text[SUBNET4_TEXT];
    struct world w;
    (void)unused;
    world_begin(&w);
    must_build(&w, "shared");
    before = w.handle->spec;
    subnet4_format((struct subnet4){ before.ipv4_base, before.ipv4_prefix }, text);
    (void)snprintf(words, sizeof words, "network 'shared' (%s) was lost", text);
    fake_strand();
    AWAIT(&w, w.lost == 1);
    AWAIT(&w, strstr(problem(&w), words));
    assert_non_null(strstr(problem(&w), "process 815"));
    must_build(&w, "shared");
    assert_int_not_equal(w.handle->spec.ipv4_base, before.ipv4_base);
    assert_memory_not_equal(w.handle->spec.ipv6, before.ipv6, sizeof before.ipv6);
    fake_stranded_over();
    AWAIT(&w, problem(&w)[0] == '\0');
    must_build(&w, "host");
    assert_int_equal(w.handle->spec.ipv4_base, before.ipv4_base); /* free again */
    world_end(&w);
}

static void a_network_that_netd_says_is_lost_is_lost(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    must_start(&w, "web");
    struct netd_lost lost = { "shared", "somebody deleted the bridge" };
    fake_event(NETD_NETWORK_LOST, &lost, sizeof lost);
    AWAIT(&w, w.lost == 1);
    assert_string_equal(w.lost_why, "somebody deleted the bridge");
    end_interface(&w);
    run_for(&w, 50); /* the TAP's end concerns nobody any more */
    world_end(&w);
}

static void a_failed_interface_gives_its_address_back(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    misbehave(REFUSE, NETD_OPEN_TAP);
    start_as(&w, 1000, "web", 1);
    assert_words(&w, -ENETDOWN, "the kernel said no");
    must_start(&w, "web"); /* its name is not live */
    end_interface(&w);
    AWAIT(&w, w.live == 0);
    misbehave(DIE, NETD_OPEN_TAP);
    start_as(&w, 1000, "web", 1);
    assert_words(&w, -ENETDOWN, "has ended");
    must_start(&w, "web"); /* waits for the new netd */
    end_interface(&w);
    world_end(&w);
}

static void a_late_interface_is_closed_and_its_name_free(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    misbehave(HANG, NETD_OPEN_TAP);
    impatient(&w);
    start_as(&w, 1000, "web", 1);
    assert_words(&w, -ETIMEDOUT, "did not answer");
    start_as(&w, 1000, "web", 1); /* until netd has answered, it may exist */
    assert_words(&w, -EEXIST, "name 'web'");
    w.interface_events = 0;
    patient(&w);
    fake_answer_held_back();
    AWAIT(&w, w.interface_events >= 2 && w.live == 0);
    must_start(&w, "web");
    end_interface(&w);
    world_end(&w);
}

static void a_hung_netd_is_reported_and_others_are_answered(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    misbehave(HANG, NETD_STATS);
    uint64_t began = monotonic_usec();
    assert_int_equal(w.backend.ops->inspect(w.backend.self, on_core_inspected, &w), 0);
    await(&w, &w.inspected, "inspected");
    assert_true(monotonic_usec() - began < 8000000);
    assert_words(&w, -ETIMEDOUT, "does not answer");
    assert_non_null(strstr(problem(&w), "vmnet-netd (pid 4711) has not answered for "));
    must_start(&w, "web");
    end_interface(&w);
    world_end(&w);
}

static void a_removal_that_netd_refuses_can_be_tried_again(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    misbehave(REFUSE, NETD_REMOVE);
    ask_remove(&w);
    await(&w, &w.removed, "removed");
    assert_words(&w, -EPERM, "the kernel said no");
    misbehave(HANG, NETD_REMOVE);
    impatient(&w);
    ask_remove(&w);
    await(&w, &w.removed, "removed");
    assert_words(&w, -ETIMEDOUT, "did not answer");
    patient(&w);
    fake_answer_held_back();
    ask_remove(&w);
    await(&w, &w.removed, "removed");
    assert_int_equal(w.failure.err, 0);
    assert_int_equal(fake_asked(NETD_REMOVE), 2);
    world_end(&w);
}

static void what_is_under_way_at_the_end_is_abandoned(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    misbehave(HANG, NETD_OPEN_TAP);
    struct iface_request request = { .network = "shared", .queues = 1, .uid = 1000 };
    w.started = w.inspected = false;
    assert_int_equal(w.backend.ops->start_interface(w.backend.self, &request, on_core_started, &w),
                     0);
    assert_int_equal(w.backend.ops->inspect(w.backend.self, on_core_inspected, &w), 0);
    assert_true(sd_event_run(w.event, 10000) >= 0);
    close_backend(&w);
    assert_false(w.started);
    world_end(&w);
}

static void a_netd_that_wakes_up_late_still_hands_over_what_it_has(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    must_start(&w, "web");
    struct iface_handle *vm = w.iface;
    char id[NETD_ID_SIZE];
    memcpy(id, w.handle->spec.id, sizeof id);
    close_backend(&w);

    misbehave(HANG, NETD_HELLO);
    open_backend(&w, NULL);
    assert_int_equal(w.found, 0);
    w.live = 0;
    ask_build(&w, "shared");
    fake_answer_held_back();
    await(&w, &w.built, "built");
    if (!w.handle)
        fail_msg("not handed over: %s", w.failure.why);
    assert_string_equal(w.handle->spec.id, id); /* the very same */
    assert_int_equal(w.live, 1);
    iface_handle_free(vm);
    AWAIT(&w, w.live == 0);
    world_end(&w);
}

static void leftovers_that_nobody_uses_are_removed(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    close_backend(&w);
    misbehave(HANG, NETD_HELLO);
    open_backend(&w, NULL);
    fake_answer_held_back();
    AWAIT(&w, fake_asked(NETD_REMOVE) == 1);
    world_end(&w);
}

/* ---- starting netd ----------------------------------------------------------------- */

static const char *write_program(struct world *w, const char *text)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/netd", w->dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    return path;
}

static const struct bad_start {
    const char *story, *program; /* NULL: there is none */
    const char *words;
} bad_starts[] = {
    { "no such program", NULL, "/netd: No such file" },
    { "it says why", "#!/bin/sh\necho first >&2\necho 'vmnet-netd: no /dev/net/tun' >&2\nexit 1\n",
      "did not start: vmnet-netd: no /dev/net/tun" },
    { "it says nothing", "#!/bin/sh\nexit 3\n", "exited with status 3 and said nothing" },
    { "it is killed", "#!/bin/sh\nkill -9 $$\n", "killed by signal 9" },
    { "it lies", "#!/bin/sh\nexit 0\n", "cannot connect to vmnet-netd" },
    { "it gets the right arguments", "#!/bin/sh\necho \"$1 $2 $3 ${4%-??????}\" >&2\nexit 1\n",
      "--user --background --state-dir /tmp/test-backend" },
};

static void a_netd_that_cannot_start_says_why(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(bad_starts); i++) {
        const struct bad_start *bad = &bad_starts[i];
        struct world w;
        char path[128];
        world_empty(&w);
        (void)snprintf(path, sizeof path, "%s/netd", w.dir);
        open_backend(&w, bad->program ? write_program(&w, bad->program) : path);
        build(&w, "shared");
        if (w.failure.err != -ENETDOWN || !strstr(w.failure.why, bad->words))
            fail_msg("%s: %d, %s", bad->story, w.failure.err, w.failure.why);
        assert_true(strlen(problem(&w)) > 0);
        world_end(&w);
    }
}

static void a_system_broker_starts_nothing_itself(void **unused)
{
    (void)unused;
    struct world w;
    world_empty(&w);
    struct backend_events events = core_events(&w);
    struct backend_netd_config config = { .paths = &w.paths,
                                          .system = true,
                                          .state_dirfd = w.state };
    assert_int_equal(backend_netd_new(&config, w.event, &events, &w.backend), 0);
    build(&w, "shared");
    assert_words(&w, -ENETDOWN, "systemctl start vmnet-netd.socket");
    world_end(&w);
}

/* Starts nothing, and takes its time for that, until let_netd_come(): so long the fake's socket is
 * hidden. */
static void open_with_slow_netd(struct world *w)
{
    char hidden[128], shown[128], script[512];
    (void)snprintf(shown, sizeof shown, "%s/netd.sock", w->dir);
    (void)snprintf(hidden, sizeof hidden, "%s/hidden.sock", w->dir);
    assert_int_equal(rename(shown, hidden), 0);
    (void)snprintf(script, sizeof script,
                   "#!/bin/sh\ncd %s\nwhile [ ! -e go ]; do sleep 0.02; done\nmv %s %s\n", w->dir,
                   hidden, shown);
    open_backend(w, write_program(w, script));
}

static void let_netd_come(const struct world *w)
{
    AUTO_FD go = openat(w->state, "go", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(go >= 0);
}

static void the_loop_goes_on_while_netd_starts(void **unused)
{
    (void)unused;
    struct world w;
    world_empty(&w);
    fake_start(&w.paths);
    open_with_slow_netd(&w);
    ask_build(&w, "shared");
    run_for(&w, 50); /* would never end, if it waited for netd */
    assert_false(w.built);
    let_netd_come(&w);
    await(&w, &w.built, "built");
    if (!w.handle)
        fail_msg("not built: %s", w.failure.why);
    world_end(&w);
}

/* As the broker's main() does: at the end the loop is over. */
static void leave_in_the_middle(struct world *w)
{
    ask_build(w, "shared");
    run_for(w, 20);
    assert_false(w->built);
    assert_true(sd_event_exit(w->event, 0) >= 0);
    assert_true(sd_event_loop(w->event) >= 0);
    patient(w);
    let_netd_come(w);
    close_backend(w);
    assert_false(w->built); /* nobody is there who could be told */
}

static void who_leaves_while_netd_starts_sends_it_home(void **unused)
{
    (void)unused;
    struct world w;
    world_empty(&w);
    fake_start(&w.paths);
    open_with_slow_netd(&w);
    leave_in_the_middle(&w);
    assert_int_equal(fake_asked(NETD_LEAVE), 1);
    world_end(&w);
}

static void unless_that_has_found_networks_of_another(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    close_backend(&w);
    open_with_slow_netd(&w);
    leave_in_the_middle(&w);
    assert_int_equal(fake_asked(NETD_READY), 2);
    assert_int_equal(fake_asked(NETD_LEAVE), 0);
    world_end(&w);
}

/* ---- definitions ------------------------------------------------------------------- */

/* Every key is another than the default. */
static struct net_def unusual(void)
{
    struct net_def def;
    net_def_default("shared", NET_MODE_SHARED, &def);
    def.anti_spoofing = SPOOF_MAC;
    def.uplink = UPLINK_USER;
    def.subnet = (struct subnet4){ 0x0a010000, 20 };
    assert_int_equal(prefix6_parse("fd00:42::/64", &def.prefix6), 0);
    def.mtu = 9000;
    def.nat44 = def.dhcp = def.dns_proxy = def.router_advertisement = false;
    def.isolation = true;
    def.idle_timeout_sec = 7;
    strcpy(def.external_interface, "eth7");
    def.n_dns_servers = 2;
    assert_int_equal(address_parse("203.0.113.53", &def.dns_servers[0]), 0);
    assert_int_equal(address_parse("2001:db8::53", &def.dns_servers[1]), 0);
    strcpy(def.domain, "lab.example");
    return def;
}

static void all_keys_go_to_netd_and_come_back(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    struct net_def def = unusual();
    build_as(&w, &def);
    struct netd_network spec = fake.networks[0];
    assert_int_equal(spec.ipv4_base, 0x0a010000);
    assert_int_equal(spec.flags, NETD_NET_NAT66 | NETD_NET_ISOLATED);
    assert_int_equal(spec.idle_timeout_sec, 7);
    assert_string_equal(spec.domain, "lab.example");
    close_backend(&w);

    open_backend(&w, NULL); /* a new broker finds it */
    assert_int_equal(w.found, 1);
    assert_memory_equal(&w.found_def, &def, sizeof def);
    world_end(&w);
}

static void what_is_as_defined_is_taken_as_it_is(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    struct net_def def = unusual();
    build_as(&w, &def);
    w.backend.ops->drop(w.backend.self, w.handle);
    w.handle = NULL;
    build_as(&w, &def);
    assert_int_equal(fake_asked(NETD_BUILD), 1);
    def.idle_timeout_sec = 8; /* nothing to build anew for */
    w.backend.ops->drop(w.backend.self, w.handle);
    w.handle = NULL;
    build_as(&w, &def);
    assert_int_equal(fake_asked(NETD_BUILD), 1);
    strcpy(def.domain, "other.example");
    w.backend.ops->drop(w.backend.self, w.handle);
    w.handle = NULL;
    build_as(&w, &def);
    assert_int_equal(fake_asked(NETD_BUILD), 2);
    world_end(&w);
}

/* n reservations: 10.1.0.100 and so on. */
static void update(struct world *w, const struct net_def *net, unsigned n)
{
    struct reservation list[64] = { { .ipv4 = 0 } };
    struct definition def = { .net = *net, .reservations = list, .n_reservations = n };
    for (unsigned i = 0; i < n; i++) {
        list[i] = (struct reservation){ .mac = { { 0x52, 0x54, 0, 0, 0, (uint8_t)i } },
                                        .ipv4 = 0x0a010064 + i };
        (void)snprintf(list[i].name, sizeof list[i].name, "vm%u", i);
    }
    assert_int_equal(w->backend.ops->update(w->backend.self, &def), 0);
}

static size_t fake_reserved(void)
{
    pthread_mutex_lock(&fake.lock);
    size_t n = fake.n_reserved;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

static void reservations_reach_netd_and_the_next_interface(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    struct net_def def = unusual();
    build_as(&w, &def);
    def.idle_timeout_sec = 60;
    update(&w, &def, 40);
    must_start(&w, "vm3");
    assert_int_equal(w.iface->spec.ipv4, 0x0a010067);
    assert_int_equal(w.iface->spec.mac[5], 3);
    AWAIT(&w, w.applied == 1);
    assert_int_equal(w.failure.err, 0);
    assert_int_equal(fake_asked(NETD_UPDATE), 3);
    assert_int_equal(fake_reserved(), 40);
    assert_string_equal(fake.reserved[39].name, "vm39");
    assert_int_equal(fake.idle_timeout_sec, 60);

    update(&w, &def, 30);
    update(&w, &def, 20); /* while the 30 are being told */
    AWAIT(&w, w.applied == 2);
    assert_int_equal(fake_reserved(), 20);
    update(&w, &def, 0);
    AWAIT(&w, w.applied == 3);
    assert_int_equal(fake_reserved(), 0);
    end_interface(&w);
    world_end(&w);
}

static void the_next_netd_is_told_again(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    struct net_def def = unusual();
    build_as(&w, &def);
    update(&w, &def, 5);
    AWAIT(&w, w.applied == 1);
    pthread_mutex_lock(&fake.lock);
    fake.n_reserved = 0;
    fake_hang_up();
    pthread_mutex_unlock(&fake.lock);
    AWAIT(&w, fake_reserved() == 5);
    AWAIT(&w, w.applied == 2);
    world_end(&w);
}

static void a_list_that_netd_refuses_is_told_to_the_core(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    struct net_def def = unusual();
    build_as(&w, &def);
    misbehave(REFUSE, NETD_UPDATE);
    update(&w, &def, 5);
    AWAIT(&w, w.applied == 1);
    assert_words(&w, -EPERM, "the kernel said no");
    must_start(&w, "web"); /* and nothing else is the matter */
    end_interface(&w);
    world_end(&w);
}

static void a_network_made_anew_has_no_reservations(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    struct net_def def = unusual();
    build_as(&w, &def);
    update(&w, &def, 5);
    AWAIT(&w, w.applied == 1);
    ask_remove(&w);
    await(&w, &w.removed, "removed");
    build_as(&w, &def);
    must_start(&w, "vm3");
    assert_int_equal(w.iface->spec.ipv4, 0x0a010002);
    assert_int_equal(fake_asked(NETD_UPDATE), 1);
    end_interface(&w);
    world_end(&w);
}

/* ---- the host's routes ------------------------------------------------------------- */

static void the_hosts_routes_are_read(void **unused)
{
    (void)unused;
    struct taken_list taken = { 0 };
    uint64_t began = monotonic_usec();
    assert_int_equal(host_routes_read(&taken, NULL), 0);
    print_message("[          ] %zu ranges in %u us\n", taken.n,
                  (unsigned)(monotonic_usec() - began));
    bool loopback = false; /* every namespace has one, once it is up */
    for (size_t i = 0; i < taken.n; i++)
        loopback |= strcmp(taken.items[i].owner, "address 127.0.0.0/8 dev lo") == 0;
    assert_true(loopback || taken.n == 0);
    taken_clear(&taken);
}

static void our_own_links_are_in_nobodys_way(void **unused)
{
    (void)unused;
    struct taken_list taken = { 0 };
    assert_int_equal(host_routes_read(&taken, "l"), 0);
    for (size_t i = 0; i < taken.n; i++)
        assert_null(strstr(taken.items[i].owner, " dev lo"));
    taken_clear(&taken);
}

int main(void)
{
    log_init("test", getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_is_built_used_and_removed),
        cmocka_unit_test(a_host_network_has_no_uplink),
        cmocka_unit_test(networks_do_not_share_a_subnet),
        cmocka_unit_test(after_a_restart_of_everything_it_is_the_same_again),
        cmocka_unit_test(a_name_is_free_again_when_its_tap_is_gone),
        cmocka_unit_test(uplink_changes_are_seen_in_the_handle),
        cmocka_unit_test(a_network_may_leave_by_another_way_than_the_others),
        cmocka_unit_test(what_is_wrong_with_a_network_s_own_way_ends_with_it),
        cmocka_unit_test(a_network_has_the_state_of_its_own_way_out),
        cmocka_unit_test(memory_that_cannot_be_written_harms_nobody),
        cmocka_unit_test(who_will_be_forgotten_is_not_written_down),
        cmocka_unit_test(what_a_running_netd_has_is_found),
        cmocka_unit_test(a_found_name_is_live_even_when_memory_is_lost),
        cmocka_unit_test(a_hung_netd_does_not_keep_the_broker_from_starting),
        cmocka_unit_test(a_failed_build_says_why_and_the_next_one_works),
        cmocka_unit_test(a_running_netd_of_another_version_is_named),
        cmocka_unit_test(an_older_netd_makes_way_before_a_client_notices),
        cmocka_unit_test(nonsense_costs_the_session_and_nothing_else),
        cmocka_unit_test(answers_to_nothing_are_nonsense),
        cmocka_unit_test(a_new_netd_that_knows_the_network_changes_nothing),
        cmocka_unit_test(a_tap_that_went_while_netd_was_away_is_noticed),
        cmocka_unit_test(a_network_that_a_new_netd_does_not_know_is_lost),
        cmocka_unit_test(what_was_lost_under_its_vms_keeps_its_addresses),
        cmocka_unit_test(a_network_that_netd_says_is_lost_is_lost),
        cmocka_unit_test(a_failed_interface_gives_its_address_back),
        cmocka_unit_test(a_late_interface_is_closed_and_its_name_free),
        cmocka_unit_test(a_hung_netd_is_reported_and_others_are_answered),
        cmocka_unit_test(a_removal_that_netd_refuses_can_be_tried_again),
        cmocka_unit_test(what_is_under_way_at_the_end_is_abandoned),
        cmocka_unit_test(a_netd_that_wakes_up_late_still_hands_over_what_it_has),
        cmocka_unit_test(leftovers_that_nobody_uses_are_removed),
        cmocka_unit_test(a_netd_that_cannot_start_says_why),
        cmocka_unit_test(a_system_broker_starts_nothing_itself),
        cmocka_unit_test(the_loop_goes_on_while_netd_starts),
        cmocka_unit_test(who_leaves_while_netd_starts_sends_it_home),
        cmocka_unit_test(unless_that_has_found_networks_of_another),
        cmocka_unit_test(all_keys_go_to_netd_and_come_back),
        cmocka_unit_test(what_is_as_defined_is_taken_as_it_is),
        cmocka_unit_test(reservations_reach_netd_and_the_next_interface),
        cmocka_unit_test(the_next_netd_is_told_again),
        cmocka_unit_test(a_list_that_netd_refuses_is_told_to_the_core),
        cmocka_unit_test(a_network_made_anew_has_no_reservations),
        cmocka_unit_test(the_hosts_routes_are_read),
        cmocka_unit_test(our_own_links_are_in_nobodys_way),
    };
    return cmocka_run_group_tests_name("backend_netd", tests, NULL, NULL);
}
