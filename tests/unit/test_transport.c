/* SPDX-License-Identifier: Apache-2.0 */
/* The Varlink transport between real sockets and verbs that a test answers by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fd.h"
#include "idl.h"
#include "mem.h"
#include "transport_varlink.h"
#include "varlink.h"
#include "varlink_methods.h"
#include "varlink_replies.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- a core that only writes down what it is asked ---- */

struct broker {
    int unused;
};

struct peer {
    struct call *call; /* awaits its answer */
};

static struct core {
    struct call *monitor;
    unsigned peers, calls, freed_handles;
    struct peer *last;
    char asked[128];
    bool answer_at_once, full, slow;
    struct net_handle network;
    struct netd_network *spec;
    size_t n_networks;
} core;

static struct peer *core_peer_new(struct broker *broker, const struct peer_cred *cred,
                                  struct failure *failure)
{
    (void)broker;
    assert_int_equal(cred->uid, getuid());
    assert_int_equal(cred->pid, getpid());
    if (core.full) {
        (void)failure_set(failure, -EDQUOT, "too many connections");
        return NULL;
    }
    core.peers++;
    core.last = calloc(1, sizeof *core.last);
    return core.last;
}

static void core_peer_gone(struct peer *peer)
{
    core.peers--;
    free(peer);
}

static void core_acquire(struct peer *peer, struct call *call, const char *name)
{
    core.calls++;
    (void)snprintf(core.asked, sizeof core.asked, "acquire %s", name);
    if (core.slow)
        usleep(6000);
    if (core.answer_at_once)
        transport_varlink_ops.answer_network(call, &core.network);
    else
        peer->call = call;
}

static void core_release(struct peer *peer, struct call *call, const char *name)
{
    (void)peer;
    core.calls++;
    (void)snprintf(core.asked, sizeof core.asked, "release %s", name);
    transport_varlink_ops.answer_error(call, STATUS_NOT_FOUND, "no such thing");
}

static void core_start(struct peer *peer, struct call *call, const struct iface_request *request)
{
    (void)peer;
    char mac[MAC_TEXT] = "-";
    if (request->mac)
        mac_format(*request->mac, mac);
    (void)snprintf(core.asked, sizeof core.asked, "start %s %s %s %s %u %d %d%s", request->network,
                   request->interface_id ? request->interface_id : "-",
                   request->name ? request->name : "-", mac, request->queues, request->offload,
                   request->isolated, request->by_name ? " by name" : "");
    struct iface_handle *handle = calloc(1, sizeof *handle);
    strcpy(handle->spec.network, "shared");
    strcpy(handle->spec.id, "id");
    if (request->by_name)
        strcpy(handle->spec.tap, "vt0.1");
    handle->spec.by_name = request->by_name;
    handle->mtu = 1500;
    handle->n_fds = request->by_name ? 1 : request->queues;
    for (unsigned i = 0; i < handle->n_fds; i++)
        handle->fds[i] = dup(0);
    transport_varlink_ops.answer_interface(call, handle);
}

void iface_handle_free(struct iface_handle *handle)
{
    core.freed_handles++;
    for (unsigned i = 0; i < handle->n_fds; i++)
        close(handle->fds[i]);
    free(handle);
}

static struct definition shared = { .net.name = "shared" },
                         lab = { .net.name = "lab",
                                 .description = (char[]){ "Tests" },
                                 .file = (char[]){ "/etc/vmnet-broker.d/lab.json" } };

static void core_report(struct call *call, size_t n, bool detailed)
{
    struct client_view clients[] = { { getpid(), getuid() }, { 999999999, 4000000000u } };
    struct network_view *networks = calloc(n + 2, sizeof *networks);
    for (size_t i = 0; i < n; i++)
        networks[i] =
            (struct network_view){ &lab.net, &lab, 1u << KEY_MTU, "creating", 1, 0, NULL, NULL, 0 };
    networks[1] = (struct network_view){
        &shared.net,     &shared, 0, "ready", 2, 1, &core.network, detailed ? clients : NULL,
        detailed ? 2 : 0
    };
    struct broker_report report = { .networks = networks,
                                    .n_networks = n,
                                    .detailed = detailed,
                                    .backend = { "pasta", { "no\xfftice" }, 1, 17 },
                                    .asker = getuid() };
    transport_varlink_ops.answer_report(call, &report);
    free(networks);
}

static void core_list(struct peer *peer, struct call *call)
{
    (void)peer;
    core_report(call, core.n_networks, false);
}

static void core_status(struct peer *peer, struct call *call, const char *name)
{
    (void)peer;
    (void)snprintf(core.asked, sizeof core.asked, "status %s", name ? name : "-");
    core_report(call, 2, true);
}

static void turn(void);

static void core_leases(struct peer *peer, struct call *call, const char *name)
{
    static const struct lease_view leases[] = {
        { "shared", LEASE_LIVE, 0xc0a84002, { { 2 } }, "web", 7, 1700000000 },
        { "shared", LEASE_RESERVED, 0xc0a84003, { { 4 } }, "", (uid_t)-1, 0 },
    };
    (void)peer, (void)name;
    transport_varlink_ops.answer_leases(call, leases, 2);
}

static void core_monitor(struct peer *peer, struct call *call)
{
    (void)peer;
    core.monitor = call;
}

/* Tells the one who watches. */
static void happen(unsigned count)
{
    const struct client_view client = { getpid(), getuid() };
    const struct event_interface interface = { .uid = 7, .id = "a", .name = "web", .ipv4 = 1 };
    const struct event event = { .kind = EVENT_INTERFACE_STARTED,
                                 .network = "lab",
                                 .client = &client,
                                 .interface = &interface,
                                 .count = count,
                                 .message = "no\xfftice" };
    transport_varlink_ops.answer_event(core.monitor, &event);
    turn();
}

static void core_stop(struct peer *peer, struct call *call)
{
    (void)peer;
    transport_varlink_ops.answer_done(call);
}

static void ask_forward(const char *what, const struct forward_request *request)
{
    char listen[ADDR6_TEXT] = "-", address[ADDR6_TEXT] = "-";
    if (request->listen.version)
        address_format(&request->listen, listen);
    if (request->address.version)
        address_format(&request->address, address);
    (void)snprintf(core.asked, sizeof core.asked, "%s %s %s %s %s %u %s %u", what, request->network,
                   request->interface_id ? request->interface_id : "-",
                   request->protocol == FORWARD_TCP ? "tcp" : "udp", listen, request->external_port,
                   address, request->internal_port);
}

static void core_add_forward(struct peer *peer, struct call *call,
                             const struct forward_request *request)
{
    (void)peer;
    ask_forward("forward", request);
    transport_varlink_ops.answer_done(call);
}

static void core_remove_forward(struct peer *peer, struct call *call,
                                const struct forward_request *request)
{
    (void)peer;
    ask_forward("unforward", request);
    transport_varlink_ops.answer_done(call);
}

static void core_list_forwards(struct peer *peer, struct call *call, const char *name)
{
    struct network_view network = {
        &shared.net, &shared, 0, "ready", 2, 1, &core.network, NULL, 0
    };
    struct broker_report report = {
        .networks = &network, .n_networks = 1, .forwards = true, .asker = getuid()
    };

    (void)peer;
    (void)snprintf(core.asked, sizeof core.asked, "forwards %s", name ? name : "-");
    transport_varlink_ops.answer_report(call, &report);
}

static const struct verbs verbs = {
    core_peer_new,       core_peer_gone,     core_acquire, core_release, core_start,
    core_list,           core_status,        core_leases,  core_monitor, core_add_forward,
    core_remove_forward, core_list_forwards, core_stop,
};

/* ---- a world of one broker and its clients ---- */

static struct world {
    sd_event *event;
    struct transport *transport;
    struct sockaddr_un address;
    socklen_t address_len;
    struct idl *idl;
} world;

static void turn(void)
{
    for (int i = 0; i < 200; i++)
        (void)sd_event_run(world.event, 0);
}

static int setup(void **state)
{
    (void)state;
    static struct broker broker;
    static const struct transport_about about = { "1.2.3", "user", "/state", "journal" };
    static struct iface_entry mine, others;

    core = (struct core){ .answer_at_once = true, .n_networks = 2 };
    core.network.uplink = "ok";
    core.network.spec = (struct netd_network){ .name = "shared",
                                               .id = "uuid",
                                               .mtu = 1500,
                                               .ipv4_base = 0xc0a84000,
                                               .ipv4_prefix = 24,
                                               .ipv6 = { 0xfd, 1 },
                                               .ipv6_len = 64 };
    TAILQ_INIT(&core.network.interfaces);
    TAILQ_INIT(&core.network.forwards);
    mine.spec = (struct netd_interface){ .id = "a", .tap = "vt0", .uid = getuid(), .queues = 1 };
    others.spec = (struct netd_interface){ .id = "b", .tap = "vt1", .uid = getuid() + 1 };
    TAILQ_INSERT_TAIL(&core.network.interfaces, &mine, link);
    TAILQ_INSERT_TAIL(&core.network.interfaces, &others, link);

    assert_int_equal(idl_read(idl_text(BROKER_INTERFACE), &world.idl, NULL), 0);
    assert_true(sd_event_new(&world.event) >= 0);
    assert_int_equal(transport_varlink_new(world.event, &verbs, &broker, &about, &world.transport),
                     0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    world.address.sun_family = AF_UNIX;
    assert_int_equal(bind(fd, (struct sockaddr *)&world.address, sizeof(sa_family_t)), 0);
    world.address_len = sizeof world.address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&world.address, &world.address_len), 0);
    assert_int_equal(listen(fd, 512), 0);
    assert_int_equal(transport_varlink_listen(world.transport, fd), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    transport_varlink_free(world.transport);
    sd_event_unref(world.event);
    idl_free(world.idl);
    return core.peers == 0 ? 0 : -1;
}

static struct varlink *client_new(void)
{
    static const struct varlink_limits limits = { 1 << 22, 1 << 22, VARLINK_FDS_MAX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&world.address, world.address_len), 0);
    struct varlink *client = varlink_new(fd, &limits);
    assert_non_null(client);
    turn();
    return client;
}

static void say(struct varlink *client, const char *text)
{
    assert_int_equal(send(varlink_fd(client), text, strlen(text) + 1, MSG_NOSIGNAL),
                     strlen(text) + 1);
    turn();
}

#define IN(method) "\"method\":\"" BROKER_INTERFACE "." method "\""

/* The next reply as text; "closed", or "nothing". */
static const char *hear(struct varlink *client)
{
    static char text[65536];
    json_t *reply = NULL;
    int r = varlink_next(client, &reply);
    int filled = 1;
    while (r == 0 && (filled = varlink_fill(client)) == 1)
        r = varlink_next(client, &reply);
    if (r == 0)
        return filled == -EAGAIN ? "nothing" : "closed";
    assert_int_equal(r, 1);
    size_t len = json_dumpb(reply, text, sizeof text - 1, JSON_COMPACT | JSON_SORT_KEYS);
    text[len] = '\0';
    json_decref(reply);
    return text;
}

/* ---- the interface file, the methods and their replies agree ---- */

static void every_method_is_declared_and_every_declared_one_exists(void **state)
{
    (void)state;
    for (size_t i = 0; idl_method_name(world.idl, i); i++)
        assert_non_null(varlink_method_find(idl_method_name(world.idl, i)));
    for (size_t i = 0; varlink_method_at(i); i++)
        assert_non_null(idl_method(world.idl, varlink_method_at(i)->name));
}

static void every_reply_is_what_the_interface_file_declares(void **state)
{
    (void)state;
    static const struct {
        const char *method, *rest;
    } calls[] = {
        { "Acquire", ",\"parameters\":{\"network_name\":\"shared\"}}" },
        { "StartInterface", ",\"parameters\":{\"network_name\":\"shared\",\"queues\":3}}" },
        { "List", "}" },
        { "List", ",\"more\":true}" },
        { "Status", "}" },
        { "Leases", "}" },
        { "AddForward", ",\"parameters\":{\"network_name\":\"shared\",\"interface_id\":\"a\","
                        "\"external_port\":8080,\"internal_port\":80}}" },
        { "RemoveForward",
          ",\"parameters\":{\"network_name\":\"shared\",\"external_port\":8080}}" },
        { "ListForwards", "}" },
        { "Stop", "}" },
    };
    struct varlink *client = client_new();
    for (size_t i = 0; i < N_ELEMENTS(calls); i++) {
        char text[320];
        (void)snprintf(text, sizeof text, "{\"method\":\"%s.%s\"%s", BROKER_INTERFACE,
                       calls[i].method, calls[i].rest);
        say(client, text);
        json_t *reply = json_loads(hear(client), 0, NULL);
        struct failure failure = { 0 };
        if (!reply || idl_check_reply(world.idl, idl_method(world.idl, calls[i].method),
                                      json_object_get(reply, "parameters"), &failure) < 0)
            fail_msg("%s: %s", calls[i].method, failure.why);
        json_decref(reply);
        if (strstr(text, "more"))
            (void)hear(client);
    }
    varlink_free(client);
    turn();
}

/* ---- forwards ---- */

static void what_is_to_be_forwarded_reaches_the_core(void **state)
{
    static const struct {
        const char *call, *asked;
    } cases[] = {
        { "{" IN("AddForward") ",\"parameters\":{\"network_name\":\"lab\",\"interface_id\":\"a\","
                               "\"external_port\":8080,\"internal_port\":80}}",
          "forward lab a tcp - 8080 - 80" },
        { "{" IN("AddForward") ",\"parameters\":{\"network_name\":\"lab\",\"protocol\":\"udp\","
                               "\"listen_address\":\"::1\",\"external_port\":1,"
                               "\"address\":\"10.1.0.2\",\"internal_port\":65535}}",
          "forward lab - udp ::1 1 10.1.0.2 65535" },
        { "{" IN("RemoveForward") ",\"parameters\":{\"network_name\":\"lab\",\"protocol\":\"udp\","
                                  "\"listen_address\":\"127.0.0.1\",\"external_port\":53}}",
          "unforward lab - udp 127.0.0.1 53 - 0" },
        { "{" IN("ListForwards") "}", "forwards -" },
        { "{" IN("ListForwards") ",\"parameters\":{\"network_name\":\"lab\"}}", "forwards lab" },
    };
    struct varlink *client = client_new();
    (void)state;
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        say(client, cases[i].call);
        assert_string_equal(core.asked, cases[i].asked);
        (void)hear(client);
    }
    varlink_free(client);
    turn();
}

static void a_forward_that_cannot_be_never_reaches_the_core(void **state)
{
    static const struct {
        const char *params, *words;
    } cases[] = {
        { "\"external_port\":0,\"internal_port\":80", "external_port must be 1 to 65535, not 0" },
        { "\"external_port\":8080,\"internal_port\":65616", "internal_port must be 1 to 65535" },
        { "\"external_port\":-57456,\"internal_port\":80", "external_port must be" },
        { "\"external_port\":1,\"internal_port\":1,\"protocol\":\"TCP\"", "not 'TCP'" },
        { "\"external_port\":1,\"internal_port\":1,\"address\":\"web\"", "address 'web' is no" },
        { "\"external_port\":1,\"internal_port\":1,\"listen_address\":\"\"",
          "listen_address '' is no" },
        { "\"internal_port\":1", "external_port" },
    };
    struct varlink *client = client_new();
    (void)state;
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        char text[320];
        (void)snprintf(text, sizeof text,
                       "{" IN("AddForward") ",\"parameters\":{\"network_name\":\"lab\",%s}}",
                       cases[i].params);
        say(client, text);
        const char *reply = hear(client);
        if (!strstr(reply, cases[i].words))
            fail_msg("'%s' lacks '%s'", reply, cases[i].words);
    }
    assert_string_equal(core.asked, "");
    varlink_free(client);
    turn();
}

/* Of the three that 'shared' has, two: the asker's, and the definition's. */
static void one_sees_ones_own_forwards_and_the_definitions(void **state)
{
    struct forward_entry mine = { .wanted = true }, others = mine, defined = mine;
    struct varlink *client = client_new();
    (void)state;
    mine.spec = (struct netd_forward){ .network = "shared",
                                       .interface = "a",
                                       .uid = getuid(),
                                       .protocol = NETD_TCP,
                                       .families = NETD_IPV4 | NETD_IPV6,
                                       .flags = NETD_FORWARD_LIVE,
                                       .external_port = 8080,
                                       .internal_port = 80,
                                       .target = { [10] = 0xff, 0xff, 10, 1, 0, 2 } };
    others.spec = mine.spec;
    others.spec.uid++;
    defined.spec = (struct netd_forward){ .network = "shared",
                                          .protocol = NETD_UDP,
                                          .families = NETD_IPV6,
                                          .flags = NETD_FORWARD_DEFINED,
                                          .uid = getuid() + 1,
                                          .listen = { [15] = 1 },
                                          .external_port = 53,
                                          .internal_port = 53,
                                          .target = { 0xfd, [15] = 2 } };
    (void)strcpy(defined.why, "port 53 is taken");
    TAILQ_INSERT_TAIL(&core.network.forwards, &mine, link);
    TAILQ_INSERT_TAIL(&core.network.forwards, &others, link);
    TAILQ_INSERT_TAIL(&core.network.forwards, &defined, link);

    say(client, "{" IN("ListForwards") "}");
    json_t *reply = json_loads(hear(client), 0, NULL);
    const json_t *parameters = json_object_get(reply, "parameters");
    struct failure failure = { 0 };
    if (idl_check_reply(world.idl, idl_method(world.idl, "ListForwards"), parameters, &failure) < 0)
        fail_msg("%s", failure.why);
    json_t *expected =
        json_pack("{s:[{s:s, s:s, s:i, s:s, s:i, s:s, s:I, s:b, s:s}"
                  "    {s:s, s:s, s:s, s:i, s:i, s:s, s:i, s:I, s:b, s:s}]}",
                  "forwards", "network_name", "shared", "protocol", "tcp", "external_port", 8080,
                  "address", "10.1.0.2", "internal_port", 80, "interface_id", "a", "uid",
                  (json_int_t)getuid(), "defined", 0, "state", "listening", "network_name",
                  "shared", "protocol", "udp", "listen_address", "::1", "external_port", 53,
                  "ip_version", 6, "address", "fd00::2", "internal_port", 53, "uid",
                  (json_int_t)getuid() + 1, "defined", 1, "state", "failed: port 53 is taken");
    if (!json_equal(parameters, expected))
        fail_msg("%s", json_dumps(parameters, 0));
    json_decref(expected);
    json_decref(reply);
    varlink_free(client);
    turn();
}

static void an_event_is_what_the_interface_file_declares(void **state)
{
    struct varlink *client = client_new();
    struct failure failure = { 0 };
    (void)state;
    say(client, "{" IN("Monitor") ",\"more\":true}");
    assert_string_equal(hear(client), "nothing");
    happen(1);
    happen(2);
    for (int i = 1; i <= 2; i++) {
        json_t *reply = json_loads(hear(client), 0, NULL);
        const json_t *parameters = json_object_get(reply, "parameters");
        if (idl_check_reply(world.idl, idl_method(world.idl, "Monitor"), parameters, &failure) < 0)
            fail_msg("%s", failure.why);
        assert_true(json_is_true(json_object_get(reply, "continues")));
        const json_t *event = json_object_get(parameters, "event");
        assert_int_equal(json_integer_value(json_object_get(event, "count")), i);
        json_decref(reply);
    }
    varlink_free(client);
    turn();
    assert_int_equal(core.peers, 0);
}

static void who_watches_says_more(void **state)
{
    struct varlink *client = client_new();
    (void)state;
    say(client, "{" IN("Monitor") "}");
    assert_non_null(strstr(hear(client), "org.varlink.service.ExpectedMore"));
    say(client, "{" IN("Monitor") ",\"more\":true,\"oneway\":true}");
    say(client, "{" IN("List") "}"); /* is not kept waiting */
    assert_non_null(strstr(hear(client), "networks"));
    varlink_free(client);
    turn();
}

static void who_does_not_read_misses_events_and_hears_how_many(void **state)
{
    struct varlink *client = client_new();
    unsigned heard = 0, missed = 0;
    (void)state;
    say(client, "{" IN("Monitor") ",\"more\":true}");
    for (unsigned i = 0; i < 5000; i++)
        happen(i);
    for (const char *text; strcmp(text = hear(client), "nothing") != 0; turn()) {
        json_t *reply = json_loads(text, 0, NULL);
        const json_t *event = json_object_get(json_object_get(reply, "parameters"), "event");
        assert_non_null(event);
        assert_int_equal(missed, 0); /* it is the last one, and comes by itself */
        if (strcmp(json_string_value(json_object_get(event, "what")), "missed") == 0)
            missed = (unsigned)json_integer_value(json_object_get(event, "count"));
        else
            heard++;
        json_decref(reply);
    }
    assert_in_range(heard, 1, 4999);
    assert_int_equal(heard + missed, 5000);
    happen(5000);
    assert_non_null(strstr(hear(client), "\"count\":5000"));
    varlink_free(client);
    turn();
}

static void what_a_client_asks_reaches_the_verb(void **state)
{
    (void)state;
    static const struct {
        const char *call, *asked;
    } calls[] = {
        { "{" IN("Acquire") ",\"parameters\":{\"network_name\":\"lab\"}}", "acquire lab" },
        { "{" IN("Status") ",\"parameters\":{\"network_name\":\"lab\"}}", "status lab" },
        { "{" IN("Status") ",\"parameters\":{\"network_name\":null}}", "status -" },
        { "{" IN("StartInterface") ",\"parameters\":{\"network_name\":\"lab\"}}",
          "start lab - - - 1 1 0" },
        { "{" IN("StartInterface") ",\"parameters\":{\"network_name\":\"lab\",\"name\":\"web\","
                                   "\"interface_id\":\"x\",\"mac_address\":\"52:54:00:0a:0B:0c\","
                                   "\"queues\":2,\"offload\":false,\"isolated\":true}}",
          "start lab x web 52:54:00:0a:0b:0c 2 0 1" },
        { "{" IN("StartInterface") ",\"parameters\":{\"network_name\":\"lab\","
                                   "\"by_name\":true}}",
          "start lab - - - 1 1 0 by name" },
    };
    struct varlink *client = client_new();
    for (size_t i = 0; i < N_ELEMENTS(calls); i++) {
        say(client, calls[i].call);
        assert_string_equal(core.asked, calls[i].asked);
        (void)hear(client);
    }
    varlink_free(client);
    turn();
}

static void by_name_it_comes_with_the_one_that_stands_for_it(void **state)
{
    (void)state;
    struct varlink *client = client_new();
    say(client, "{" IN("StartInterface") ",\"parameters\":{\"network_name\":\"a\",\"queues\":3,"
                                         "\"by_name\":true}}");
    const char *reply = hear(client);
    assert_non_null(strstr(reply, "\"fds\":[]"));
    assert_non_null(strstr(reply, "\"tap\":\"vt0.1\""));
    assert_non_null(strstr(reply, "\"hold_fd\":0"));
    assert_int_equal(varlink_n_fds(client), 1);
    varlink_free(client);
    turn();
}

static void an_interface_comes_with_its_descriptors(void **state)
{
    (void)state;
    struct varlink *client = client_new();
    say(client, "{" IN("StartInterface") ",\"parameters\":{\"network_name\":\"a\",\"queues\":3}}");
    assert_non_null(strstr(hear(client), "\"fds\":[0,1,2]"));
    assert_int_equal(varlink_n_fds(client), 3);
    assert_int_equal(core.freed_handles, 1);
    say(client, "{" IN("StartInterface") ",\"oneway\":true,"
                                         "\"parameters\":{\"network_name\":\"a\"}}");
    assert_int_equal(core.freed_handles, 2);
    assert_string_equal(hear(client), "nothing");
    varlink_free(client);
    turn();
}

static void status_shows_only_the_askers_interfaces(void **state)
{
    (void)state;
    struct varlink *client = client_new();
    say(client, "{" IN("Status") "}");
    const char *text = hear(client);
    assert_non_null(strstr(text, "\"tap\":\"vt0\""));
    assert_null(strstr(text, "\"tap\":\"vt1\""));
    assert_non_null(strstr(text, "\"user\":\"4000000000\""));
    assert_non_null(strstr(text, "\"problems\":[\"no?tice\"]"));
    varlink_free(client);
    turn();
}

static void more_gives_one_network_a_reply(void **state)
{
    (void)state;
    struct varlink *client = client_new();
    say(client, "{" IN("List") ",\"more\":true}");
    const char *text = hear(client);
    assert_non_null(strstr(text, "\"continues\":true"));
    assert_non_null(strstr(text, "\"lab\""));
    text = hear(client);
    assert_null(strstr(text, "continues"));
    assert_non_null(strstr(text, "\"shared\""));
    core.n_networks = 0;
    say(client, "{" IN("List") ",\"more\":true}");
    assert_string_equal(hear(client), "{\"parameters\":{}}");
    say(client, "{" IN("List") "}");
    assert_string_equal(hear(client), "{\"parameters\":{\"networks\":[]}}");
    core.n_networks = 2;
    varlink_free(client);
    turn();
}

static void acquire_shows_the_network_as_it_is_now(void **state)
{
    (void)state;
    static const char call[] = "{" IN("Acquire") ",\"parameters\":{\"network_name\":\"shared\"}}";
    struct varlink *client = client_new();
    char first[1024];

    say(client, call);
    (void)snprintf(first, sizeof first, "%s", hear(client));
    assert_non_null(strstr(first, "\"uplink\":\"ok\""));
    say(client, call);
    assert_string_equal(hear(client), first);

    core.network.uplink = "failed: no route";
    say(client, call);
    assert_non_null(strstr(hear(client), "\"uplink\":\"failed: no route\""));
    strcpy(core.network.spec.id, "another");
    say(client, call);
    assert_non_null(strstr(hear(client), "\"id\":\"another\""));
    varlink_free(client);
    turn();
}

/* ---- errors ---- */

#define OURS(name, code)                                                                           \
    "{\"error\":\"" BROKER_INTERFACE "." name "\",\"parameters\":{\"code\":" code
#define THEIRS(name, key, value)                                                                   \
    "{\"error\":\"org.varlink.service." name "\",\"parameters\":{\"" key "\":\"" value "\"}}"

static void a_wrong_call_gets_its_error_and_keeps_its_connection(void **state)
{
    (void)state;
    static const struct {
        const char *call, *reply;
    } cases[] = {
        { "{\"method\":\"org.example.Get\"}",
          THEIRS("InterfaceNotFound", "interface", "org.example") },
        { "{\"method\":\"\"}", THEIRS("MethodNotFound", "method", "") },
        { "{\"method\":\"Acquire\"}", THEIRS("MethodNotFound", "method", "Acquire") },
        { "{" IN("Destroy") "}", THEIRS("MethodNotFound", "method", BROKER_INTERFACE ".Destroy") },
        { "{" IN("") "}", THEIRS("MethodNotFound", "method", BROKER_INTERFACE ".") },
        { "{" IN("Acquire") "}", OURS("InvalidRequest", "4") },
        { "{" IN("Acquire") ",\"parameters\":7}", OURS("InvalidRequest", "4") },
        { "{" IN("Acquire") ",\"parameters\":{\"network_name\":1}}", OURS("InvalidRequest", "4") },
        { "{" IN("List") ",\"wish\":1}", OURS("InvalidRequest", "4") },
        { "{" IN("List") ",\"more\":1}", OURS("InvalidRequest", "4") },
        { "{" IN("List") ",\"upgrade\":true}", OURS("InvalidRequest", "4") },
        { "{" IN("StartInterface") ",\"parameters\":{\"network_name\":\"a\",\"queues\":0}}",
          OURS("InvalidRequest", "4") },
        { "{" IN("StartInterface") ",\"parameters\":{\"network_name\":\"a\",\"queues\":-1}}",
          OURS("InvalidRequest", "4") },
        { "{" IN("StartInterface") ",\"parameters\":{\"network_name\":\"a\","
                                   "\"mac_address\":\"52:54\"}}",
          OURS("InvalidRequest", "4") },
        { "{" IN("Release") ",\"parameters\":{\"network_name\":\"a\"}}",
          OURS("NotFound", "5,\"message\":\"no such thing\"}}") },
        { "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}",
          THEIRS("InvalidParameter", "parameter", "interface") },
        { "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
          "\"parameters\":{\"interface\":\"x.y\"}}",
          THEIRS("InterfaceNotFound", "interface", "x.y") },
        { "{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{\"x\":1}}",
          THEIRS("InvalidParameter", "parameter", "x") },
    };
    struct varlink *client = client_new();
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        say(client, cases[i].call);
        const char *reply = hear(client);
        if (strncmp(reply, cases[i].reply, strlen(cases[i].reply)) != 0)
            fail_msg("%s\n got  %s\n want %s", cases[i].call, reply, cases[i].reply);
    }
    assert_int_equal(core.calls, 1); /* Release */
    varlink_free(client);
    turn();
}

static void what_is_no_call_ends_the_connection(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "", "[]", "{", "{}", "{\"method\":7}", "{\"method\":\"a\\u0000b\"}", "{\"method\":\"\xff\"}"
    };
    struct varlink *other = client_new();
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct varlink *client = client_new();
        say(client, cases[i]);
        assert_string_equal(hear(client), "closed");
        varlink_free(client);
        assert_int_equal(core.peers, 1);
    }
    varlink_free(other);
    turn();
}

static void a_refused_client_is_told_why_by_the_first_reply(void **state)
{
    (void)state;
    core.full = true;
    struct varlink *client = client_new();
    say(client, "{" IN("List") "}");
    assert_string_equal(hear(client), OURS("NotAllowed", "3,\"message\":\"too many "
                                                         "connections\"}}"));
    assert_string_equal(hear(client), "closed");
    varlink_free(client);
    turn();
}

static void a_crowd_of_refused_ones_is_told_at_once(void **state)
{
    enum { CROWD = 60, KEPT = 16 };
    struct varlink *crowd[CROWD];
    (void)state;
    core.full = true;
    for (size_t i = 0; i < CROWD; i++)
        crowd[i] = client_new();
    for (size_t i = 0; i < CROWD; i++) {
        if (i < KEPT) {
            assert_string_equal(hear(crowd[i]), "nothing");
            say(crowd[i], "{" IN("List") "}");
        }
        assert_non_null(strstr(hear(crowd[i]), "NotAllowed"));
        assert_string_equal(hear(crowd[i]), "closed");
    }
    struct varlink *late = client_new(); /* those before have gone: it is kept again */
    assert_string_equal(hear(late), "nothing");
    varlink_free(late);
    for (size_t i = 0; i < CROWD; i++)
        varlink_free(crowd[i]);
    turn();
}

/* ---- who waits for whom ---- */

static void one_call_of_a_peer_at_a_time(void **state)
{
    (void)state;
    core.answer_at_once = false;
    struct varlink *client = client_new();
    say(client, "{" IN("Acquire") ",\"parameters\":{\"network_name\":\"first\"}}");
    say(client, "{" IN("Acquire") ",\"parameters\":{\"network_name\":\"second\"}}");
    assert_string_equal(core.asked, "acquire first");
    assert_string_equal(hear(client), "nothing");
    transport_varlink_ops.answer_error(core.last->call, STATUS_CREATE_FAILURE, "x");
    turn();
    assert_non_null(strstr(hear(client), "CreateFailure"));
    assert_string_equal(core.asked, "acquire second");
    varlink_free(client);
    turn();
    assert_int_equal(core.peers, 0);
}

static void a_client_that_goes_while_it_waits_is_gone_at_once(void **state)
{
    (void)state;
    core.answer_at_once = false;
    struct varlink *client = client_new();
    say(client, "{" IN("Acquire") ",\"parameters\":{\"network_name\":\"first\"}}");
    assert_int_equal(core.peers, 1);
    varlink_free(client);
    turn();
    assert_int_equal(core.peers, 0);
}

static void a_half_closed_client_hears_its_answers_first(void **state)
{
    (void)state;
    core.answer_at_once = false;
    struct varlink *client = client_new();
    say(client, "{" IN("Acquire") ",\"parameters\":{\"network_name\":\"first\"}}");
    say(client, "{" IN("Stop") "}");
    (void)shutdown(varlink_fd(client), SHUT_WR);
    turn();
    assert_int_equal(core.peers, 1);
    transport_varlink_ops.answer_network(core.last->call, &core.network);
    turn();
    assert_non_null(strstr(hear(client), "\"uuid\""));
    assert_string_equal(hear(client), "{\"parameters\":{}}");
    assert_string_equal(hear(client), "closed");
    assert_int_equal(core.peers, 0);
    varlink_free(client);
}

static void oneway_calls_are_carried_out_and_never_answered(void **state)
{
    (void)state;
    struct varlink *client = client_new();
    say(client, "{" IN("Acquire") ",\"oneway\":true,\"parameters\":{\"network_name\":\"a\"}}");
    assert_string_equal(core.asked, "acquire a");
    say(client, "{" IN("Release") ",\"oneway\":true,\"parameters\":{\"network_name\":\"a\"}}");
    say(client, "{" IN("Nothing") ",\"oneway\":true}");
    say(client, "{" IN("Stop") "}");
    assert_string_equal(hear(client), "{\"parameters\":{}}");
    assert_string_equal(hear(client), "nothing");
    varlink_free(client);
    turn();
}

static void a_client_that_never_reads_is_not_read_either(void **state)
{
    (void)state;
    struct varlink *client = client_new();
    static const char call[] = "{" IN("Acquire") ",\"parameters\":{\"network_name\":\"a\"}}";
    unsigned sent = 0;
    for (ssize_t n = 1; n > 0;) {
        n = send(varlink_fd(client), call, sizeof call, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n == (ssize_t)sizeof call)
            sent++;
        else
            assert_true(n < 0);
        if (n < 0)
            turn();
        if (n < 0 && send(varlink_fd(client), call, sizeof call, MSG_DONTWAIT) > 0)
            n = 1, sent++;
    }
    unsigned taken = core.calls;
    turn();
    assert_int_equal(core.calls, taken);
    assert_true(taken < sent);
    struct varlink *other = client_new(); /* nobody else notices */
    say(other, "{" IN("Stop") "}");
    assert_string_equal(hear(other), "{\"parameters\":{}}");

    for (unsigned heard = 0; heard < sent; turn()) /* now it reads: nothing was lost */
        while (strcmp(hear(client), "nothing") != 0)
            heard++;
    assert_int_equal(core.calls, sent);
    varlink_free(client);
    varlink_free(other);
    turn();
}

static size_t swallow(struct varlink *client)
{
    static char buf[65536];
    size_t got = 0;
    for (ssize_t n; (n = recv(varlink_fd(client), buf, sizeof buf, 0)) > 0; turn())
        got += (size_t)n;
    return got;
}

static void answers_that_a_users_clients_do_not_read_are_bounded(void **state)
{
    enum { CLIENTS = 40 };
    struct varlink *clients[CLIENTS], *one;
    (void)state;
    core.n_networks = 15000; /* a reply of some megabytes */
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = client_new();
        say(clients[i], "{" IN("List") "}");
    }
    one = clients[CLIENTS - 1];
    assert_non_null(strstr(hear(one), "bytes of answers that its clients have not read"));
    say(one, "{" IN("Acquire") ",\"parameters\":{\"network_name\":\"lab\"}}");
    assert_string_equal(core.asked, "acquire lab"); /* small ones are given all the same */
    assert_non_null(strstr(hear(one), "\"network\""));
    size_t whole = swallow(clients[0]);
    assert_in_range(whole, 1 << 20, 4 << 20);
    for (size_t i = 1; i < CLIENTS - 1; i++) {
        size_t got = swallow(clients[i]);
        assert_true(got == whole || got < 1000);
    }
    say(one, "{" IN("List") "}"); /* all is read: welcome again */
    assert_int_equal(swallow(one), whole);
    for (size_t i = 0; i < CLIENTS; i++)
        varlink_free(clients[i]);
    turn();
}

static void whoever_keeps_the_broker_busy_queues_and_is_served_in_order(void **state)
{
    enum { CLIENTS = 20, CALLS = 3 };
    struct varlink *clients[CLIENTS];
    char text[512] = "";
    (void)state;
    core.slow = true; /* one call uses a user's time up */
    for (size_t i = 0; i < CLIENTS; i++)
        clients[i] = client_new();
    for (size_t i = 0; i < CLIENTS; i++)
        for (unsigned k = 0; k < CALLS; k++) {
            (void)snprintf(text, sizeof text,
                           "{" IN("Acquire") ",\"parameters\":{\"network_name\":\"n%u\"}}", k);
            assert_true(send(varlink_fd(clients[i]), text, strlen(text) + 1, 0) > 0);
        }
    varlink_free(clients[0]); /* one goes while it waits */
    while (core.calls < (CLIENTS - 1) * CALLS)
        turn();
    turn();
    for (size_t i = 1; i < CLIENTS; i++) {
        for (unsigned k = 0; k < CALLS; k++)
            assert_non_null(strstr(hear(clients[i]), "\"network\""));
        varlink_free(clients[i]);
    }
    turn();
    assert_int_equal(core.peers, 0);
}

static int try_to_connect(void)
{
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&world.address, world.address_len) < 0 ? -errno : 0;
}

static void
whoever_had_connected_when_the_door_was_shut_is_served_and_nobody_else_connects(void **state)
{
    static const struct varlink_limits limits = { 1 << 16, 1 << 16, VARLINK_FDS_MAX };
    (void)state;
    assert_false(transport_varlink_shut(world.transport)); /* nobody stands there */
    assert_int_equal(try_to_connect(), -ECONNREFUSED);
    teardown(NULL);
    setup(NULL);

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&world.address, world.address_len), 0);
    assert_int_equal(core.peers, 0); /* not accepted yet */
    assert_true(transport_varlink_shut(world.transport));
    assert_int_equal(core.peers, 1);
    assert_int_equal(try_to_connect(), -ECONNREFUSED);
    transport_varlink_unlisten(world.transport);
    struct varlink *client = varlink_new(fd, &limits);
    say(client, "{" IN("Acquire") ",\"parameters\":{\"network_name\":\"shared\"}}");
    assert_non_null(strstr(hear(client), "\"network\""));
    varlink_free(client);
    turn();
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(every_method_is_declared_and_every_declared_one_exists),
        T(every_reply_is_what_the_interface_file_declares),
        T(what_is_to_be_forwarded_reaches_the_core),
        T(a_forward_that_cannot_be_never_reaches_the_core),
        T(one_sees_ones_own_forwards_and_the_definitions),
        T(an_event_is_what_the_interface_file_declares),
        T(who_watches_says_more),
        T(who_does_not_read_misses_events_and_hears_how_many),
        T(what_a_client_asks_reaches_the_verb),
        T(an_interface_comes_with_its_descriptors),
        T(by_name_it_comes_with_the_one_that_stands_for_it),
        T(status_shows_only_the_askers_interfaces),
        T(acquire_shows_the_network_as_it_is_now),
        T(more_gives_one_network_a_reply),
        T(a_wrong_call_gets_its_error_and_keeps_its_connection),
        T(what_is_no_call_ends_the_connection),
        T(a_refused_client_is_told_why_by_the_first_reply),
        T(a_crowd_of_refused_ones_is_told_at_once),
        T(one_call_of_a_peer_at_a_time),
        T(a_client_that_goes_while_it_waits_is_gone_at_once),
        T(a_half_closed_client_hears_its_answers_first),
        T(oneway_calls_are_carried_out_and_never_answered),
        T(a_client_that_never_reads_is_not_read_either),
        T(answers_that_a_users_clients_do_not_read_are_bounded),
        T(whoever_keeps_the_broker_busy_queues_and_is_served_in_order),
        T(whoever_had_connected_when_the_door_was_shut_is_served_and_nobody_else_connects),
    };
    return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
