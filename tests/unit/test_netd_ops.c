/* SPDX-License-Identifier: Apache-2.0 */
/* What netd may be asked, and when, and that each request gets one answer. ops.c is
 * included; everything it works on is pretended below, or silent (fakes/silent_netd.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ops.c"

#include <stdio.h>

/* ---- the pretended world -------------------------------------------------------------- */

struct session {
    enum phase phase;
};

static struct {
    struct session session;
    bool broker;       /* somebody has said hello */
    bool session_gone; /* session_find() finds nobody */
    bool made_way;
    int outcome;      /* what the next operation returns */
    unsigned answers; /* last ones: without NETD_MORE */
    unsigned listed;  /* those with it */
    struct netd_header last;
    network_built built;
    void *built_arg;
} world;

enum phase session_phase(const struct session *session)
{
    return session->phase;
}

void session_set_phase(struct session *session, enum phase phase)
{
    session->phase = phase;
    world.broker = true;
}

uint64_t session_serial(const struct session *session)
{
    (void)session;
    return 7;
}

struct session *session_find(struct server *server, uint64_t serial)
{
    (void)server;
    return serial == 7 && !world.session_gone ? &world.session : NULL;
}

void session_send(struct session *session, const struct netd_header *header, const void *body,
                  size_t len, const int *fds, size_t n_fds)
{
    struct netd_msg msg = { .header = *header };

    (void)session;
    (void)fds;
    (void)n_fds;
    if (len > 0)
        memcpy(&msg.body, body, len);
    assert_int_equal(netd_msg_check(&msg, sizeof msg.header + len, NETD_TO_BROKER), 0);
    world.last = *header;
    world.listed += (header->flags & NETD_MORE) != 0;
    world.answers += (header->flags & NETD_MORE) == 0;
}

struct session *server_broker(struct server *server)
{
    (void)server;
    return world.broker ? &world.session : NULL;
}

static int outcome(struct netd_why *why)
{
    return world.outcome < 0 ? why_failed(why, world.outcome, "it is not to be") : 0;
}

void life_make_way(struct life *life, const char *why)
{
    (void)life;
    (void)why;
    world.made_way = true;
}

int life_leave(struct life *life, struct netd_why *why)
{
    (void)life;
    return outcome(why);
}

static const struct netd_network network = {
    .name = "shared", .id = "1", .mtu = 1500, .ipv4_base = 0xc0a84000, .ipv4_prefix = 24
};

static const struct netd_interface interface = {
    .network = "shared", .id = "web", .mac = { 0x52, 0x54, 0, 0, 0, 1 }, .queues = 1
};

void networks_list(struct networks *all, void (*each)(void *arg, const struct netd_network *),
                   void (*tap)(void *arg, const struct netd_interface *), void *arg)
{
    struct netd_interface with_tap = interface;

    (void)all;
    (void)str_copy(with_tap.tap, sizeof with_tap.tap, "vt0.0");
    each(arg, &network);
    tap(arg, &with_tap);
}

int networks_build(struct networks *all, const struct netd_network *def, network_built built,
                   void *arg, struct netd_why *why)
{
    (void)all;
    (void)def;
    world.built = built;
    world.built_arg = arg;
    return outcome(why);
}

int networks_update(struct networks *all, const struct netd_update *update, struct netd_why *why)
{
    (void)all;
    (void)update;
    return outcome(why);
}

int networks_remove(struct networks *all, const char *name, struct netd_why *why)
{
    (void)all;
    (void)name;
    return outcome(why);
}

int networks_open_tap(struct networks *all, const struct netd_interface *request,
                      struct netd_interface *ret, int *ret_fds, struct netd_why *why)
{
    (void)all;
    *ret = *request;
    (void)str_copy(ret->tap, sizeof ret->tap, "vt0.0");
    ret_fds[0] = -1;
    return outcome(why);
}

static const struct netd_forward forward = {
    .network = "shared",
    .families = NETD_IPV4,
    .external_port = 8080,
    .internal_port = 80,
    .target = { [10] = 0xff, 0xff, 192, 168, 64, 2 },
};

int networks_add_forward(struct networks *all, const struct netd_forward *f, struct netd_why *why)
{
    (void)all;
    (void)f;
    return outcome(why);
}

int forwards_remove(struct forwards *all, const struct netd_forward *f, struct netd_why *why)
{
    (void)all;
    (void)f;
    return outcome(why);
}

void forwards_list(const struct forwards *all, void (*each)(void *arg, const struct netd_forward *),
                   void *arg)
{
    struct netd_forward live = forward;

    (void)all;
    live.flags = NETD_FORWARD_LIVE;
    each(arg, &live);
}

int networks_stats(struct networks *all, void (*each)(void *arg, const struct netd_stats *),
                   void *arg, struct netd_why *why)
{
    const struct netd_stats stats = { .network = "shared", .tap = "vt0.0" };

    (void)all;
    if (outcome(why) < 0)
        return world.outcome;
    each(arg, &stats);
    return 0;
}

/* ---- the tests -------------------------------------------------------------------------- */

static int ask(enum netd_op op, enum phase phase)
{
    struct ops_context ctx = { .anchor = 2 };
    struct netd_msg msg = { .header = header_of((uint16_t)op, 5, 0, 0) };

    world.session.phase = phase;
    if (op == NETD_BUILD)
        msg.body.network = network;
    if (op == NETD_OPEN_TAP)
        msg.body.interface = interface;
    if (op == NETD_REMOVE)
        (void)str_copy(msg.body.name.network, NAME_SIZE, "shared");
    if (op == NETD_UPDATE)
        (void)str_copy(msg.body.update.network, NAME_SIZE, "shared");
    if (op == NETD_ADD_FORWARD || op == NETD_REMOVE_FORWARD)
        msg.body.forward = forward;
    return ops_serve(&ctx, &world.session, &msg);
}

static int fresh_world(void **unused)
{
    (void)unused;
    memset(&world, 0, sizeof world);
    return 0;
}

#define HELLO    PHASE_HELLO
#define LEARNING PHASE_LEARNING
#define SERVING  PHASE_SERVING

static const struct {
    enum netd_op op;
    unsigned phases;
} allowed[] = {
    { NETD_HELLO, HELLO },         { NETD_INVENTORY, LEARNING },     { NETD_READY, LEARNING },
    { NETD_BUILD, SERVING },       { NETD_REMOVE, SERVING },         { NETD_OPEN_TAP, SERVING },
    { NETD_STATS, SERVING },       { NETD_LEAVE, SERVING },          { NETD_UPDATE, SERVING },
    { NETD_ADD_FORWARD, SERVING }, { NETD_REMOVE_FORWARD, SERVING }, { NETD_TAP_GONE, 0 },
    { (enum netd_op)0, 0 },        { (enum netd_op)55, 0 },
};

static void a_request_is_served_in_its_phase_only(void **unused)
{
    static const enum phase phases[] = { HELLO, LEARNING, SERVING };

    for (size_t i = 0; i < N_ELEMENTS(allowed); i++)
        for (size_t k = 0; k < N_ELEMENTS(phases); k++) {
            bool may = allowed[i].phases & phases[k];

            fresh_world(unused);
            if ((ask(allowed[i].op, phases[k]) == 0) != may)
                fail_msg("operation %d in phase %d", allowed[i].op, phases[k]);
            if (!may)
                assert_int_equal(world.answers, 0);
            if (world.built)
                world.built(world.built_arg, 0, NULL);
        }
}

static void every_request_gets_one_answer(void **unused)
{
    static const int outcomes[] = { 0, -EIO };

    for (size_t i = 0; i < N_ELEMENTS(allowed); i++)
        for (size_t k = 0; k < 2 && allowed[i].phases; k++) {
            fresh_world(unused);
            world.outcome = outcomes[k];
            assert_int_equal(ask(allowed[i].op, (enum phase)allowed[i].phases), 0);
            if (world.built && world.outcome == 0)
                world.built(world.built_arg, 0, NULL);
            if (world.answers != 1 || world.last.id != 5)
                fail_msg("operation %d: %u answers", allowed[i].op, world.answers);
        }
}

static void a_failure_is_answered_with_its_error(void **unused)
{
    (void)unused;
    world.outcome = -ENOSPC;
    assert_int_equal(ask(NETD_REMOVE, SERVING), 0);
    assert_int_equal(world.last.err, -ENOSPC);
}

static void listings_end_with_an_answer_without_a_body(void **unused)
{
    (void)unused;
    assert_int_equal(ask(NETD_INVENTORY, LEARNING), 0);
    assert_int_equal(world.listed, 3);
    assert_int_equal(world.answers, 1);
}

static void hello_and_ready_open_the_next_phase(void **unused)
{
    (void)unused;
    assert_int_equal(ask(NETD_HELLO, HELLO), 0);
    assert_int_equal(world.session.phase, LEARNING);
    assert_int_equal(ask(NETD_READY, LEARNING), 0);
    assert_int_equal(world.session.phase, SERVING);
}

static void a_second_broker_is_told_to_wait(void **unused)
{
    (void)unused;
    world.broker = true;
    assert_int_equal(ask(NETD_HELLO, HELLO), 0);
    assert_int_equal(world.last.err, -EBUSY);
    assert_int_equal(world.session.phase, HELLO);
}

static const struct {
    const char *who;
    int version; /* more than ours */
    bool served; /* another broker */
    uint16_t op;
    bool told, made_way;
} strangers[] = {
    { "a newer broker", 1, false, NETD_HELLO, true, true },
    { "one that is much newer", 300, false, NETD_HELLO, true, true },
    { "a newer one beside ours", 1, true, NETD_HELLO, true, false },
    { "an older broker", -1, false, NETD_HELLO, true, false },
    { "an older one that does not say hello", -1, false, NETD_LEAVE, false, false },
};

static void another_version_is_told_so_and_a_newer_broker_gets_its_own_netd(void **unused)
{
    for (size_t i = 0; i < N_ELEMENTS(strangers); i++) {
        struct ops_context ctx = { .anchor = 2 };
        struct netd_header header = header_of(strangers[i].op, 5, 0, 0);

        fresh_world(unused);
        world.broker = strangers[i].served;
        header.version = (uint16_t)(header.version + strangers[i].version);
        bool ended = ops_refuse_version(&ctx, &world.session, &header) < 0;
        bool told = world.answers == 1 && world.last.id == 5 &&
                    world.last.err == -EPROTONOSUPPORT && world.last.version == NETD_VERSION;
        if (told != strangers[i].told || world.made_way != strangers[i].made_way ||
            ended == strangers[i].made_way)
            fail_msg("%s", strangers[i].who);
    }
}

static void a_network_is_answered_when_it_is_built(void **unused)
{
    const struct netd_why why = { "dnsmasq does not start" };

    (void)unused;
    assert_int_equal(ask(NETD_BUILD, SERVING), 0);
    assert_int_equal(world.answers, 0);
    world.built(world.built_arg, -ECHILD, &why);
    assert_int_equal(world.answers, 1);
    assert_int_equal(world.last.err, -ECHILD);
}

static void nobody_is_answered_when_the_session_has_gone(void **unused)
{
    (void)unused;
    assert_int_equal(ask(NETD_BUILD, SERVING), 0);
    world.session_gone = true;
    world.built(world.built_arg, 0, NULL);
    assert_int_equal(world.answers, 0);
}

static void events_go_to_the_broker_if_there_is_one(void **unused)
{
    struct ops_context ctx = { .server = (struct server *)&world };

    (void)unused;
    ops_uplink(&ctx, "eth1", "pasta", "ok");
    assert_int_equal(world.answers, 0);
    world.broker = true;
    ops_uplink(&ctx, "eth1", "pasta", "ok");
    assert_int_equal(world.answers, 1);
    assert_int_equal(world.last.op, NETD_UPLINK);
    assert_int_equal(world.last.id, 0);
}

int main(void)
{
#define FRESH(f) cmocka_unit_test_setup(f, fresh_world)
    const struct CMUnitTest tests[] = {
        FRESH(a_request_is_served_in_its_phase_only),
        FRESH(every_request_gets_one_answer),
        FRESH(a_failure_is_answered_with_its_error),
        FRESH(listings_end_with_an_answer_without_a_body),
        FRESH(hello_and_ready_open_the_next_phase),
        FRESH(a_second_broker_is_told_to_wait),
        FRESH(another_version_is_told_so_and_a_newer_broker_gets_its_own_netd),
        FRESH(a_network_is_answered_when_it_is_built),
        FRESH(nobody_is_answered_when_the_session_has_gone),
        FRESH(events_go_to_the_broker_if_there_is_one),
    };
    return cmocka_run_group_tests_name("netd_ops", tests, NULL, NULL);
}
