/* SPDX-License-Identifier: Apache-2.0 */
/* Forwards in the Linux backend against a fake netd: those of clients, which end with what they
 * lead to, those of definitions, which are tried again, and what is left of both when netd or
 * the broker is another. */
#include "backend_world.h"

#include "fake_netd.h"
#include "log.h"
#include "mem.h"
#include "port_owner.h"
#include "str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ALICE 1000

static const struct address here4 = { .version = 4, .v4 = INADDR_LOOPBACK };
static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

/* ---- what is asked ----------------------------------------------------------------- */

/* Port 8080 of the host to port 80 of the interface that w has. */
static struct forward_request to_interface(const struct world *w)
{
    return (struct forward_request){ .network = "shared",
                                     .interface_id = w->iface->spec.id,
                                     .external_port = 8080,
                                     .internal_port = 80,
                                     .uid = ALICE };
}

static struct forward_request to_address(uint32_t v4)
{
    return (struct forward_request){ .network = "shared",
                                     .external_port = 8080,
                                     .internal_port = 80,
                                     .address = { .version = 4, .v4 = v4 },
                                     .uid = ALICE };
}

static void ask_forward(struct world *w, const struct forward_request *request)
{
    struct failure why = { 0 };
    w->forwarded = false;
    if (w->backend.ops->add_forward(w->backend.self, request, on_core_forwarded, w, &why) < 0)
        fail_msg("refused: %s", why.why);
    assert_false(w->forwarded); /* never from inside the call */
}

static void add(struct world *w, const struct forward_request *request)
{
    ask_forward(w, request);
    await(w, &w->forwarded, "forwarded");
}

static void must_add(struct world *w, const struct forward_request *request)
{
    add(w, request);
    if (w->failure.err != 0)
        fail_msg("not forwarded: %s", w->failure.why);
}

static void must_remove(struct world *w, const struct forward_request *request)
{
    struct failure why = { 0 };
    w->forwarded = false;
    assert_int_equal(
        w->backend.ops->remove_forward(w->backend.self, request, on_core_forwarded, w, &why), 0);
    await(w, &w->forwarded, "removed");
    assert_int_equal(w->failure.err, 0);
}

static void assert_refused_at_once(struct world *w, const struct forward_request *request, int err,
                                   const char *words)
{
    struct failure *why = &w->failure;
    assert_int_equal(
        w->backend.ops->add_forward(w->backend.self, request, on_core_forwarded, w, why), err);
    assert_words(w, err, words);
}

static unsigned of_alice(const struct world *w)
{
    return w->backend.ops->forwards_of(w->backend.self, ALICE);
}

/* 'shared' as a definition that leads port 5000 + i to .100 + i, each of n. */
static void define(struct world *w, unsigned n)
{
    struct forward list[4] = { { .external_port = 0 } };
    struct definition def = { .forwards = list, .n_forwards = n };
    assert_int_equal(net_def_find("shared", &def.net), 0);
    for (unsigned i = 0; i < n; i++)
        list[i] = (struct forward){ .external_port = (uint16_t)(5000 + i),
                                    .internal_port = 80,
                                    .address = { .version = 4,
                                                 .v4 = w->handle->spec.ipv4_base + 100 + i } };
    assert_int_equal(w->backend.ops->update(w->backend.self, &def), 0);
}

/* ---- what netd has ----------------------------------------------------------------- */

static size_t fake_has(void)
{
    pthread_mutex_lock(&fake.lock);
    size_t n = fake.n_forwards;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

static struct netd_forward fake_forward(size_t i)
{
    pthread_mutex_lock(&fake.lock);
    struct netd_forward forward = fake.forwards[i];
    pthread_mutex_unlock(&fake.lock);
    return forward;
}

/* It dies; with `blank` the next one knows of no forwards, as if its journal were lost. */
static void next_netd(bool blank)
{
    pthread_mutex_lock(&fake.lock);
    if (blank)
        fake.n_forwards = 0;
    fake_hang_up();
    pthread_mutex_unlock(&fake.lock);
}

static void begin_with_vm(struct world *w)
{
    world_begin(w);
    must_build(w, "shared");
    must_start(w, "web");
}

static void end_with_vm(struct world *w)
{
    end_interface(w);
    world_end(w);
}

static void assert_target(const struct netd_forward *f, uint32_t v4)
{
    uint32_t be = htonl(v4);
    assert_memory_equal(f->target, mapped, sizeof mapped);
    assert_memory_equal(f->target + sizeof mapped, &be, sizeof be);
}

/* ---- clients' ---------------------------------------------------------------------- */

static void a_port_leads_to_an_interface_until_it_is_removed(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct forward_request request = to_interface(&w);
    must_add(&w, &request);
    const struct netd_forward f = fake_forward(0);
    assert_string_equal(f.network, "shared");
    assert_string_equal(f.interface, w.iface->spec.id);
    assert_target(&f, w.iface->spec.ipv4);
    assert_int_equal(f.families, NETD_IPV4 | NETD_IPV6); /* whoever reaches the host */
    assert_int_equal(f.external_port, 8080);
    assert_int_equal(f.internal_port, 80);
    assert_int_equal(f.uid, ALICE);
    assert_int_equal(of_alice(&w), 1);
    uid_t owner = 0;
    assert_int_equal(w.backend.ops->forward_owner(w.backend.self, &request, &owner), 0);
    assert_int_equal(owner, ALICE);

    must_remove(&w, &request);
    assert_int_equal(fake_has(), 0);
    assert_int_equal(of_alice(&w), 0);
    assert_int_equal(w.backend.ops->forward_owner(w.backend.self, &request, &owner), -ENOENT);
    must_add(&w, &request); /* and is free again */
    end_with_vm(&w);
}

static void an_address_is_reached_by_clients_of_its_kind(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct forward_request request = to_address(w.iface->spec.ipv4);
    must_add(&w, &request);
    assert_int_equal(fake_forward(0).families, NETD_IPV4);
    assert_string_equal(fake_forward(0).interface, "");

    request.address = (struct address){ .version = 6, .v6 = { 0xfd, [15] = 9 } };
    must_add(&w, &request); /* the same port, of the other version of IP */
    assert_int_equal(fake_forward(1).families, NETD_IPV6);
    assert_memory_equal(fake_forward(1).target, request.address.v6, 16);
    must_remove(&w, &request);
    AWAIT(&w, fake_has() == 0); /* a user's port is removed with both */
    end_with_vm(&w);
}

static void a_network_for_this_host_is_reached_from_this_host(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "host");
    struct forward_request request = to_address(w.handle->spec.ipv4_base + 9);
    request.network = "host";
    must_add(&w, &request);
    static const uint8_t loopback[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };
    assert_memory_equal(fake_forward(0).listen, loopback, sizeof loopback);
    world_end(&w);
}

static void it_ends_with_its_interface(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct forward_request request = to_interface(&w);
    must_add(&w, &request);
    end_interface(&w);
    AWAIT(&w, w.live == 0);
    assert_int_equal(of_alice(&w), 0);
    assert_int_equal(fake_has(), 0);
    assert_int_equal(fake_asked(NETD_REMOVE_FORWARD), 0); /* netd knows by itself */
    must_start(&w, "web");
    request = to_interface(&w);
    must_add(&w, &request);
    end_with_vm(&w);
}

static void it_ends_with_its_network(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    struct forward_request request = to_address(w.handle->spec.ipv4_base + 9);
    must_add(&w, &request);
    ask_remove(&w);
    await(&w, &w.removed, "removed");
    assert_int_equal(of_alice(&w), 0);
    struct forward_target target = w.backend.ops->forward_target(w.backend.self, &request);
    assert_false(target.live);
    assert_refused_at_once(&w, &request, -ENOENT, "network");
    world_end(&w);
}

static void whose_it_is_that_a_port_leads_to(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    const struct backend_ops *ops = w.backend.ops;
    struct forward_request request = to_interface(&w);
    struct forward_target target = ops->forward_target(w.backend.self, &request);
    assert_true(target.live && target.uid == ALICE);

    request = to_address(w.iface->spec.ipv4);
    target = ops->forward_target(w.backend.self, &request);
    assert_true(target.live && target.uid == ALICE);
    request.address.v4++;
    assert_false(ops->forward_target(w.backend.self, &request).live);
    request.interface_id = w.iface->spec.id; /* one's own VM, but another's address */
    assert_false(ops->forward_target(w.backend.self, &request).live);

    struct iface_entry *e = TAILQ_FIRST(&w.handle->interfaces);
    e->spec.ipv4 = 0; /* of a network without DHCP */
    request.address = (struct address){ .version = 6, .v6 = { 0xfd, [15] = 9 } };
    assert_false(ops->forward_target(w.backend.self, &request).live);
    end_with_vm(&w);
}

static void who_removes_a_port_leaves_others_theirs(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    define(&w, 1); /* port 5000, IPv4 */
    struct forward_request request = to_address(0), other;
    request.external_port = 5000;
    request.address = (struct address){ .version = 6, .v6 = { 0xfd, [15] = 9 } };
    must_add(&w, &request);
    uid_t owner = 0;
    assert_int_equal(w.backend.ops->forward_owner(w.backend.self, &request, &owner), 0);
    assert_int_equal(owner, ALICE);
    must_remove(&w, &request);
    run_for(&w, 50);
    assert_int_equal(fake_has(), 1);
    assert_int_equal(fake_forward(0).families, NETD_IPV4); /* the definition's */

    other = to_address(w.handle->spec.ipv4_base + 9); /* port 8080 */
    other.uid = ALICE + 1;
    must_add(&w, &other);
    request.external_port = 8080;
    must_add(&w, &request);
    must_remove(&w, &request);
    run_for(&w, 50);
    assert_int_equal(w.backend.ops->forwards_of(w.backend.self, other.uid), 1);
    assert_int_equal(of_alice(&w), 0);
    world_end(&w);
}

static void what_makes_no_sense_is_refused_at_once(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct forward_request request = to_interface(&w);
    must_add(&w, &request);
    assert_refused_at_once(&w, &request, -EADDRINUSE, "to a VM of network 'shared' already");
    request.external_port++;
    request.interface_id = "none";
    assert_refused_at_once(&w, &request, -ENOENT, "there is no interface 'none'");
    request.network = "elsewhere";
    assert_refused_at_once(&w, &request, -ENOENT, "network");
    struct failure why = { 0 };
    assert_int_equal(
        w.backend.ops->remove_forward(w.backend.self, &request, on_core_forwarded, &w, &why),
        -ENOENT);
    end_with_vm(&w);
}

static void what_netd_refuses_is_as_if_it_had_not_been_asked(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct forward_request request = to_interface(&w);
    misbehave(REFUSE, NETD_ADD_FORWARD);
    add(&w, &request);
    assert_words(&w, -EPERM, "the kernel said no");
    assert_int_equal(of_alice(&w), 0);
    assert_string_equal(problem(&w), "");
    must_add(&w, &request);
    end_with_vm(&w);
}

/* A host on which finding a port's owner takes as long as the test holds this. */
static pthread_mutex_t slow_host = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint searches;

int __real_port_owner_find(bool udp, uint16_t port, struct port_owner *ret);
int __wrap_port_owner_find(bool udp, uint16_t port, struct port_owner *ret);

int __wrap_port_owner_find(bool udp, uint16_t port, struct port_owner *ret)
{
    atomic_fetch_add(&searches, 1);
    pthread_mutex_lock(&slow_host);
    int r = __real_port_owner_find(udp, port, ret);
    pthread_mutex_unlock(&slow_host);
    return r;
}

/* A port of the host's that this program has. */
static int take_port(uint16_t *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* netd says of the port that it is taken; and the host knows who has it. */
static void ask_for_taken_port(struct world *w, uint16_t port)
{
    struct forward_request request = to_interface(w);

    request.listen = here4;
    request.external_port = port;
    misbehave(TAKEN, NETD_ADD_FORWARD);
    ask_forward(w, &request);
}

/* The same, and the search for its owner goes on until the test gives the lock back. */
static void hold_search(struct world *w, uint16_t port)
{
    unsigned before = atomic_load(&searches);

    pthread_mutex_lock(&slow_host);
    ask_for_taken_port(w, port);
    AWAIT(w, atomic_load(&searches) > before);
}

static void assert_taken_by_us(const struct world *w)
{
    char words[64];

    (void)snprintf(words, sizeof words, "it is taken by process %d (test_backend_fo", getpid());
    assert_words(w, -EADDRINUSE, words);
}

static void a_taken_port_is_refused_with_the_name_of_who_has_it(void **unused)
{
    (void)unused;
    uint16_t port;
    struct world w;
    int fd = take_port(&port);

    begin_with_vm(&w);
    ask_for_taken_port(&w, port);
    await(&w, &w.forwarded, "forwarded");
    assert_taken_by_us(&w);
    assert_int_equal(of_alice(&w), 0);
    end_with_vm(&w);
    (void)close(fd);
}

static void others_are_served_while_the_owner_of_a_port_is_found_out(void **unused)
{
    (void)unused;
    uint16_t port;
    struct world w;
    int fd = take_port(&port);

    begin_with_vm(&w);
    struct iface_handle *web = w.iface;
    hold_search(&w, port);
    must_start(&w, "db");
    assert_false(w.forwarded);
    pthread_mutex_unlock(&slow_host);
    await(&w, &w.forwarded, "forwarded");
    assert_taken_by_us(&w);
    iface_handle_free(web);
    end_with_vm(&w);
    (void)close(fd);
}

static void whoever_is_gone_is_not_told_who_has_the_port(void **unused)
{
    (void)unused;
    uint16_t port;
    struct world w;
    int fd = take_port(&port);

    begin_with_vm(&w);
    hold_search(&w, port);
    end_interface(&w);
    await(&w, &w.forwarded, "told");
    assert_words(&w, -ENOENT, "the VM that it leads to is gone");
    w.forwarded = false;
    pthread_mutex_unlock(&slow_host);
    AWAIT(&w, TAILQ_EMPTY(&((struct backend_netd *)w.backend.self)->forward_questions));
    assert_false(w.forwarded);
    world_end(&w);
    (void)close(fd);
}

static void a_search_under_way_at_the_end_is_abandoned(void **unused)
{
    (void)unused;
    uint16_t port;
    struct world w;
    int fd = take_port(&port);

    begin_with_vm(&w);
    hold_search(&w, port);
    pthread_mutex_unlock(&slow_host);
    end_with_vm(&w);
    assert_false(w.forwarded);
    (void)close(fd);
}

/* ---- netd dies --------------------------------------------------------------------- */

static void the_next_netd_is_asked_for_those_it_does_not_know(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct forward_request request = to_interface(&w);
    must_add(&w, &request);
    define(&w, 2);
    AWAIT(&w, fake_has() == 3);
    next_netd(true);
    AWAIT(&w, fake_has() == 3);
    next_netd(false);
    AWAIT(&w, fake_asked(NETD_READY) == 3 && fake_asked(NETD_ADD_FORWARD) >= 6);
    run_for(&w, 50);
    assert_int_equal(fake_asked(NETD_ADD_FORWARD), 6); /* twice each, not thrice */
    assert_int_equal(of_alice(&w), 1);
    end_with_vm(&w);
}

static void a_request_that_netd_dies_at_fails_and_leaves_nothing(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct forward_request request = to_interface(&w);
    misbehave(DIE, NETD_ADD_FORWARD);
    add(&w, &request);
    assert_int_equal(w.failure.err, -ECONNRESET);
    AWAIT(&w, fake_asked(NETD_READY) == 2);
    must_add(&w, &request);
    assert_int_equal(fake_has(), 1);
    end_with_vm(&w);
}

static void a_hung_netd_is_reported_and_what_comes_late_goes_again(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct forward_request request = to_interface(&w);
    misbehave(HANG, NETD_ADD_FORWARD);
    impatient(&w);
    add(&w, &request);
    assert_words(&w, -ETIMEDOUT, "does not answer");
    assert_int_equal(of_alice(&w), 0);
    fake_answer_held_back();
    AWAIT(&w, fake_asked(NETD_REMOVE_FORWARD) == 1);
    AWAIT(&w, fake_has() == 0);
    end_with_vm(&w);
}

static void what_is_under_way_at_the_end_is_abandoned(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct forward_request request = to_interface(&w);
    misbehave(HANG, NETD_ADD_FORWARD);
    ask_forward(&w, &request);
    AWAIT(&w, fake_asked(NETD_ADD_FORWARD) == 1);
    end_with_vm(&w);
}

static void one_that_netd_dies_at_again_is_asked_for_again(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct forward_request request = to_interface(&w);
    must_add(&w, &request);
    misbehave(DIE, NETD_ADD_FORWARD);
    next_netd(true);
    AWAIT(&w, fake_asked(NETD_READY) == 3);
    AWAIT(&w, fake_has() == 1);
    assert_int_equal(of_alice(&w), 1);
    end_with_vm(&w);
}

/* ---- the broker is another --------------------------------------------------------- */

static void those_of_a_running_netd_are_found(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct iface_handle *vm = w.iface; /* lives on, as a VM would */
    struct forward_request request = to_interface(&w);
    must_add(&w, &request);
    close_backend(&w);
    assert_int_equal(fake_has(), 1);

    open_backend(&w, NULL);
    assert_int_equal(of_alice(&w), 1);
    assert_refused_at_once(&w, &request, -EADDRINUSE, "already");
    must_remove(&w, &request);
    assert_int_equal(fake_has(), 0);
    iface_handle_free(vm);
    world_end(&w);
}

/* ---- definitions' ------------------------------------------------------------------ */

static void a_definitions_forwards_follow_it(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    define(&w, 3);
    AWAIT(&w, fake_has() == 3);
    const struct netd_forward f = fake_forward(2);
    assert_true(f.flags & NETD_FORWARD_DEFINED);
    assert_int_equal(f.families, NETD_IPV4);
    assert_int_equal(f.external_port, 5002);
    assert_target(&f, w.handle->spec.ipv4_base + 102);
    assert_int_equal(w.backend.ops->forwards_of(w.backend.self, getuid()), 0); /* nobody's */
    struct forward_request request = { .network = "shared", .external_port = 5000 };
    uid_t owner;
    assert_int_equal(w.backend.ops->forward_owner(w.backend.self, &request, &owner), -EPERM);

    define(&w, 1);
    AWAIT(&w, fake_has() == 1);
    define(&w, 2);
    AWAIT(&w, fake_has() == 2);
    assert_int_equal(fake_asked(NETD_ADD_FORWARD), 4); /* what stays is left alone */
    define(&w, 0);
    AWAIT(&w, fake_has() == 0);
    world_end(&w);
}

static void a_refused_one_is_told_and_tried_again(void **unused)
{
    (void)unused;
    struct world w;
    world_begin(&w);
    must_build(&w, "shared");
    misbehave(REFUSE, NETD_ADD_FORWARD);
    define(&w, 2);
    AWAIT(&w, problem(&w)[0] && fake_has() == 1); /* the other one is not the worse for it */
    assert_true(w.applied >= 1);
    assert_string_equal(problem(&w), "network 'shared': the kernel said no");
    run_for(&w, 50);
    assert_int_equal(fake_asked(NETD_ADD_FORWARD), 2); /* not in a loop: it waits for a while */
    define(&w, 2); /* whoever writes again wants to see it tried */
    AWAIT(&w, fake_has() == 2);
    AWAIT(&w, problem(&w)[0] == '\0');
    world_end(&w);
}

static void a_port_that_is_lost_and_comes_again_is_seen(void **unused)
{
    (void)unused;
    struct world w;
    begin_with_vm(&w);
    struct forward_request request = to_interface(&w);
    must_add(&w, &request);
    struct netd_forward f = fake_forward(0);
    f.flags &= ~(uint32_t)NETD_FORWARD_LIVE;
    fake_event(NETD_FORWARD, &f, sizeof f);
    AWAIT(&w, strstr(problem(&w), "nobody listens on port 8080"));
    f.flags |= NETD_FORWARD_LIVE;
    fake_event(NETD_FORWARD, &f, sizeof f);
    AWAIT(&w, problem(&w)[0] == '\0');
    end_with_vm(&w);
}

int main(void)
{
    log_init("test", getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_leads_to_an_interface_until_it_is_removed),
        cmocka_unit_test(an_address_is_reached_by_clients_of_its_kind),
        cmocka_unit_test(a_network_for_this_host_is_reached_from_this_host),
        cmocka_unit_test(it_ends_with_its_interface),
        cmocka_unit_test(it_ends_with_its_network),
        cmocka_unit_test(whose_it_is_that_a_port_leads_to),
        cmocka_unit_test(who_removes_a_port_leaves_others_theirs),
        cmocka_unit_test(what_makes_no_sense_is_refused_at_once),
        cmocka_unit_test(what_netd_refuses_is_as_if_it_had_not_been_asked),
        cmocka_unit_test(a_taken_port_is_refused_with_the_name_of_who_has_it),
        cmocka_unit_test(others_are_served_while_the_owner_of_a_port_is_found_out),
        cmocka_unit_test(whoever_is_gone_is_not_told_who_has_the_port),
        cmocka_unit_test(a_search_under_way_at_the_end_is_abandoned),
        cmocka_unit_test(the_next_netd_is_asked_for_those_it_does_not_know),
        cmocka_unit_test(a_request_that_netd_dies_at_fails_and_leaves_nothing),
        cmocka_unit_test(one_that_netd_dies_at_again_is_asked_for_again),
        cmocka_unit_test(a_hung_netd_is_reported_and_what_comes_late_goes_again),
        cmocka_unit_test(what_is_under_way_at_the_end_is_abandoned),
        cmocka_unit_test(those_of_a_running_netd_are_found),
        cmocka_unit_test(a_definitions_forwards_follow_it),
        cmocka_unit_test(a_refused_one_is_told_and_tried_again),
        cmocka_unit_test(a_port_that_is_lost_and_comes_again_is_seen),
    };
    return cmocka_run_group_tests_name("backend_forwards", tests, NULL, NULL);
}
