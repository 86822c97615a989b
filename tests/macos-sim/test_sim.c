/* SPDX-License-Identifier: Apache-2.0 */
/* test_sim.c - the simulator behaves as Apple documents, one line a behaviour.
 *
 * Written from the documentation (headers, launchd.plist(5), the vmnet pages),
 * not from what the simulator happens to do.
 */
#include "behaviour.h"

#include <CoreFoundation/CoreFoundation.h>
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmnet/vmnet.h>
#include <xpc/xpc.h>

#define SERVICE "com.example.echo"

static dispatch_time_t in_ms(int64_t ms)
{
    return dispatch_time(DISPATCH_TIME_NOW, ms * (int64_t)NSEC_PER_MSEC);
}

/* ---- objects ---- */

static void over_release(void)
{
    xpc_object_t o = xpc_int64_create(1);
    xpc_release(o);
    xpc_release(o);
}

static void release_null(void)
{
    xpc_release(NULL);
}

static void release_foreign(void)
{
    xpc_release((xpc_object_t)dispatch_get_main_queue());
}

static void cf_release_null(void)
{
    CFRelease(NULL);
}

static void getters_never_fail_loudly(void)
{
    xpc_object_t d = xpc_dictionary_create_empty();
    xpc_dictionary_set_uint64(d, "error", 5);
    xpc_dictionary_set_string(d, "text", "hello");
    EXPECT(xpc_dictionary_get_int64(d, "error") == 0);
    EXPECT(xpc_dictionary_get_uint64(d, "error") == 5);
    EXPECT(xpc_dictionary_get_string(d, "error") == NULL);
    EXPECT(xpc_dictionary_get_string(d, "absent") == NULL);
    EXPECT(!xpc_dictionary_get_bool(d, "text"));
    EXPECT(xpc_dictionary_get_uuid(d, "text") == NULL);
    EXPECT(xpc_get_type(xpc_dictionary_get_value(d, "error")) == XPC_TYPE_UINT64);
    xpc_release(d);
}

static void values_are_retained_and_null_removes(void)
{
    xpc_object_t d = xpc_dictionary_create_empty(), v = xpc_string_create("x");
    xpc_dictionary_set_value(d, "k", v);
    xpc_release(v);
    EXPECT(strcmp(xpc_dictionary_get_string(d, "k"), "x") == 0);
    xpc_dictionary_set_value(d, "k", NULL);
    EXPECT(xpc_dictionary_get_count(d) == 0);
    xpc_release(d);
}

static void set_null_string(void)
{
    xpc_dictionary_set_string(xpc_dictionary_create_empty(), "k", NULL);
}

static void errors_describe_themselves(void)
{
    xpc_object_t e = XPC_ERROR_CONNECTION_INVALID;
    EXPECT(xpc_get_type(e) == XPC_TYPE_ERROR);
    EXPECT(strlen(xpc_dictionary_get_string(e, XPC_ERROR_KEY_DESCRIPTION)) > 0);
    xpc_release(e);
    EXPECT(xpc_get_type(e) == XPC_TYPE_ERROR);
}

static void apply_stops_at_false(void)
{
    xpc_object_t d = xpc_dictionary_create_empty();
    xpc_dictionary_set_bool(d, "a", true);
    xpc_dictionary_set_bool(d, "b", true);
    __block int seen = 0;
    EXPECT(!xpc_dictionary_apply(d, ^bool(const char *key, xpc_object_t value) {
      (void)key, (void)value;
      seen++;
      return false;
    }));
    EXPECT(seen == 1);
    xpc_release(d);
}

static void no_reply_to_what_was_not_received(void)
{
    xpc_object_t d = xpc_dictionary_create_empty();
    EXPECT(xpc_dictionary_create_reply(d) == NULL);
    xpc_release(d);
}

/* ---- a service and its client, in one process ---- */

/* What the service does with a message; "echo" unless told otherwise. */
static void serve(xpc_connection_t peer, xpc_object_t message)
{
    const char *what = xpc_dictionary_get_string(message, "do");
    if (what && strcmp(what, "drop") == 0)
        return;
    if (what && strcmp(what, "hang up") == 0) {
        xpc_connection_cancel(peer);
        return;
    }
    xpc_object_t reply = xpc_dictionary_create_reply(message);
    if (!reply)
        return;
    EXPECT(xpc_dictionary_create_reply(message) == NULL);
    xpc_dictionary_set_uint64(reply, "pid", (uint64_t)xpc_connection_get_pid(peer));
    xpc_dictionary_set_uint64(reply, "euid", xpc_connection_get_euid(peer));
    xpc_dictionary_set_value(reply, "echo", xpc_dictionary_get_value(message, "say"));
    xpc_connection_send_message(xpc_dictionary_get_remote_connection(message), reply);
    xpc_release(reply);
}

static atomic_int peers_ended, messages_seen;

static void start_service(void)
{
    behaviour_own_service(SERVICE);
    dispatch_queue_t queue = dispatch_queue_create("service", DISPATCH_QUEUE_SERIAL);
    xpc_connection_t listener =
        xpc_connection_create_mach_service(SERVICE, queue, XPC_CONNECTION_MACH_SERVICE_LISTENER);
    xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
      if (xpc_get_type(peer) != XPC_TYPE_CONNECTION)
          return;
      xpc_connection_set_target_queue(peer, queue);
      xpc_connection_set_event_handler(peer, ^(xpc_object_t event) {
        if (event == XPC_ERROR_CONNECTION_INVALID) {
            atomic_fetch_add(&peers_ended, 1);
        } else if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) {
            atomic_fetch_add(&messages_seen, 1);
            serve(peer, event);
        }
      });
      xpc_connection_activate(peer);
    });
    xpc_connection_activate(listener);
}

static atomic_int client_invalid, client_interrupted;

static xpc_connection_t connect_to(const char *name)
{
    xpc_connection_t c = xpc_connection_create_mach_service(name, NULL, 0);
    xpc_connection_set_event_handler(c, ^(xpc_object_t event) {
      if (event == XPC_ERROR_CONNECTION_INVALID)
          atomic_fetch_add(&client_invalid, 1);
      if (event == XPC_ERROR_CONNECTION_INTERRUPTED)
          atomic_fetch_add(&client_interrupted, 1);
    });
    xpc_connection_activate(c);
    return c;
}

static xpc_object_t message(const char *key, const char *value)
{
    xpc_object_t m = xpc_dictionary_create_empty();
    xpc_dictionary_set_string(m, key, value);
    return m;
}

/* Whoever waits here for what never comes is ended by the alarm of its behaviour. */
static void wait_until(atomic_int *counter, int value)
{
    while (atomic_load(counter) < value)
        usleep(5000);
    EXPECT(atomic_load(counter) == value);
}

static void end_client(xpc_connection_t c)
{
    xpc_connection_cancel(c);
    xpc_release(c);
}

static void a_request_gets_its_reply(void)
{
    start_service();
    xpc_connection_t c = connect_to(SERVICE);
    xpc_object_t m = message("say", "hello");
    xpc_object_t r = xpc_connection_send_message_with_reply_sync(c, m);
    EXPECT(xpc_get_type(r) == XPC_TYPE_DICTIONARY);
    EXPECT(strcmp(xpc_dictionary_get_string(r, "echo"), "hello") == 0);
    EXPECT(xpc_dictionary_get_uint64(r, "pid") == (uint64_t)getpid());
    EXPECT(xpc_dictionary_get_uint64(r, "euid") == geteuid());
    xpc_release(r);
    xpc_release(m);
    end_client(c);
    wait_until(&client_invalid, 1);
}

static void every_type_arrives_as_it_was(void)
{
    start_service();
    xpc_connection_t c = connect_to(SERVICE);
    uuid_t id = { 1, 2, 3 };
    xpc_object_t m = xpc_dictionary_create_empty(), say = xpc_dictionary_create_empty();
    xpc_object_t list = xpc_array_create(NULL, 0), one = xpc_int64_create(-1);
    xpc_array_append_value(list, one);
    xpc_dictionary_set_value(say, "list", list);
    xpc_dictionary_set_uuid(say, "uuid", id);
    xpc_dictionary_set_data(say, "data", "a\0b", 3);
    xpc_dictionary_set_bool(say, "yes", true);
    xpc_dictionary_set_value(m, "say", say);
    xpc_object_t r = xpc_connection_send_message_with_reply_sync(c, m);
    xpc_object_t back = xpc_dictionary_get_value(r, "echo");
    size_t len = 0;
    const void *data = xpc_dictionary_get_data(back, "data", &len);
    EXPECT(len == 3 && memcmp(data, "a\0b", 3) == 0);
    EXPECT(memcmp(xpc_dictionary_get_uuid(back, "uuid"), id, 16) == 0);
    EXPECT(xpc_dictionary_get_bool(back, "yes"));
    xpc_object_t list_back = xpc_dictionary_get_value(back, "list");
    EXPECT(xpc_int64_get_value(xpc_array_get_value(list_back, 0)) == -1);
    xpc_object_t all[] = { r, m, say, list, one };
    for (int i = 0; i < 5; i++)
        xpc_release(all[i]);
    end_client(c);
}

static void replies_come_on_their_queue(void)
{
    start_service();
    xpc_connection_t c = connect_to(SERVICE);
    dispatch_queue_t q = dispatch_queue_create("replies", DISPATCH_QUEUE_SERIAL);
    dispatch_semaphore_t done = dispatch_semaphore_create(0);
    xpc_object_t m = message("say", "x");
    for (int i = 0; i < 10; i++)
        xpc_connection_send_message_with_reply(c, m, q, ^(xpc_object_t r) {
          EXPECT(xpc_get_type(r) == XPC_TYPE_DICTIONARY);
          dispatch_semaphore_signal(done);
        });
    for (int i = 0; i < 10; i++)
        EXPECT(dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER) == 0);
    xpc_release(m);
    dispatch_release(done);
    dispatch_release(q);
    end_client(c);
}

static void plain_messages_carry_no_reply_context(void)
{
    start_service();
    xpc_connection_t c = connect_to(SERVICE);
    xpc_object_t m = message("say", "x");
    xpc_connection_send_message(c, m);
    wait_until(&messages_seen, 1);
    xpc_release(m);
    end_client(c);
}

static void an_unanswered_request_ends_with_an_error(void)
{
    start_service();
    xpc_connection_t c = connect_to(SERVICE);
    xpc_object_t m = message("do", "drop");
    xpc_object_t r = xpc_connection_send_message_with_reply_sync(c, m);
    EXPECT(xpc_get_type(r) == XPC_TYPE_ERROR);
    xpc_release(m);
    end_client(c);
}

static void an_unknown_service_is_invalid_for_good(void)
{
    xpc_connection_t c = connect_to("com.example.nobody");
    wait_until(&client_invalid, 1);
    xpc_object_t m = message("say", "x");
    EXPECT(xpc_connection_send_message_with_reply_sync(c, m) == XPC_ERROR_CONNECTION_INVALID);
    xpc_release(m);
    xpc_release(c);
}

static void a_listener_for_a_foreign_name_is_invalid(void)
{
    static atomic_int invalid;
    xpc_connection_t l = xpc_connection_create_mach_service("com.example.foreign", NULL,
                                                            XPC_CONNECTION_MACH_SERVICE_LISTENER);
    xpc_connection_set_event_handler(l, ^(xpc_object_t event) {
      if (event == XPC_ERROR_CONNECTION_INVALID)
          atomic_fetch_add(&invalid, 1);
    });
    xpc_connection_activate(l);
    wait_until(&invalid, 1);
    xpc_release(l);
}

static void a_cancelled_peer_interrupts_its_client_which_may_go_on(void)
{
    start_service();
    xpc_connection_t c = connect_to(SERVICE);
    xpc_object_t m = message("do", "hang up"), n = message("say", "again");
    EXPECT(xpc_connection_send_message_with_reply_sync(c, m) == XPC_ERROR_CONNECTION_INTERRUPTED);
    wait_until(&client_interrupted, 1);
    xpc_object_t r = xpc_connection_send_message_with_reply_sync(c, n);
    EXPECT(xpc_get_type(r) == XPC_TYPE_DICTIONARY);
    xpc_release(r);
    xpc_release(m);
    xpc_release(n);
    end_client(c);
}

static void a_client_that_leaves_invalidates_the_peer_after_its_messages(void)
{
    start_service();
    xpc_connection_t c = connect_to(SERVICE);
    xpc_object_t m = message("say", "x");
    for (int i = 0; i < 50; i++)
        xpc_connection_send_message(c, m);
    end_client(c);
    wait_until(&peers_ended, 1);
    EXPECT(atomic_load(&messages_seen) == 50);
    xpc_release(m);
}

static void cancel_gives_waiters_an_error_and_one_last_event(void)
{
    start_service();
    xpc_connection_t c = connect_to(SERVICE);
    xpc_connection_cancel(c);
    xpc_connection_cancel(c);
    wait_until(&client_invalid, 1);
    xpc_object_t m = message("say", "x");
    EXPECT(xpc_connection_send_message_with_reply_sync(c, m) == XPC_ERROR_CONNECTION_INVALID);
    usleep(50000);
    EXPECT(atomic_load(&client_invalid) == 1);
    xpc_release(m);
    xpc_release(c);
}

static void a_barrier_runs_after_what_was_sent(void)
{
    start_service();
    xpc_connection_t c = connect_to(SERVICE);
    xpc_object_t m = message("say", "x");
    dispatch_semaphore_t sent = dispatch_semaphore_create(0);
    for (int i = 0; i < 2000; i++) /* more than a socket takes at once */
        xpc_connection_send_message(c, m);
    xpc_connection_send_barrier(c, ^{
      dispatch_semaphore_signal(sent);
    });
    EXPECT(dispatch_semaphore_wait(sent, DISPATCH_TIME_FOREVER) == 0);
    end_client(c); /* what had not left now would be lost */
    wait_until(&peers_ended, 1);
    EXPECT(atomic_load(&messages_seen) == 2000);
    dispatch_release(sent);
    xpc_release(m);
}

static void send_inactive(void)
{
    xpc_connection_t c = xpc_connection_create_mach_service(SERVICE, NULL, 0);
    xpc_connection_send_message(c, xpc_dictionary_create_empty());
}

static void activate_without_handler(void)
{
    xpc_connection_activate(xpc_connection_create_mach_service(SERVICE, NULL, 0));
}

static void release_inactive_connection(void)
{
    xpc_release(xpc_connection_create_mach_service(SERVICE, NULL, 0));
}

static void peer_without_handler(void)
{
    behaviour_own_service(SERVICE);
    xpc_connection_t l =
        xpc_connection_create_mach_service(SERVICE, NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER);
    xpc_connection_set_event_handler(l, ^(xpc_object_t peer) {
      (void)peer;
    });
    xpc_connection_activate(l);
    (void)connect_to(SERVICE);
    pause();
}

static void sync_send_on_own_queue(void)
{
    start_service();
    dispatch_queue_t q = dispatch_queue_create("own", DISPATCH_QUEUE_SERIAL);
    xpc_connection_t c = xpc_connection_create_mach_service(SERVICE, q, 0);
    xpc_connection_set_event_handler(c, ^(xpc_object_t event) {
      (void)event;
    });
    xpc_connection_activate(c);
    dispatch_sync(q, ^{
      (void)xpc_connection_send_message_with_reply_sync(c, message("say", "x"));
    });
}

/* ---- dispatch ---- */

static void serial_queues_keep_order(void)
{
    dispatch_queue_t q = dispatch_queue_create("order", DISPATCH_QUEUE_SERIAL);
    __block int last = 0;
    for (int i = 1; i <= 100; i++)
        dispatch_async(q, ^{
          EXPECT(last == i - 1);
          last = i;
        });
    dispatch_sync(q, ^{
      EXPECT(last == 100);
    });
    dispatch_release(q);
}

static void sync_on_own_queue(void)
{
    dispatch_queue_t q = dispatch_queue_create("own", DISPATCH_QUEUE_SERIAL);
    dispatch_sync(q, ^{
      dispatch_sync(q, ^{
                    });
    });
}

static void a_timer_set_anew_forgets_its_old_time(void)
{
    static atomic_int fired;
    dispatch_queue_t q = dispatch_queue_create("timer", DISPATCH_QUEUE_SERIAL);
    dispatch_source_t t = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, q);
    dispatch_source_set_event_handler(t, ^{
      atomic_fetch_add(&fired, 1);
    });
    dispatch_activate(t);
    dispatch_sync(q, ^{
      dispatch_source_set_timer(t, in_ms(10), DISPATCH_TIME_FOREVER, 0);
      usleep(60000); /* it expires while its queue is busy */
      dispatch_source_set_timer(t, DISPATCH_TIME_FOREVER, DISPATCH_TIME_FOREVER, 0);
    });
    usleep(150000);
    EXPECT(atomic_load(&fired) == 0);
    dispatch_source_set_timer(t, in_ms(10), DISPATCH_TIME_FOREVER, 0);
    wait_until(&fired, 1);
    usleep(50000);
    EXPECT(atomic_load(&fired) == 1);
    dispatch_source_cancel(t);
    dispatch_release(t);
    dispatch_release(q);
}

static uint64_t real_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A minute passes in a second of ours: not sooner, and before the behaviour's alarm. */
static void scaled_time_passes_faster(void)
{
    (void)setenv("SIM_TIME_SCALE", "60", 1);
    dispatch_semaphore_t done = dispatch_semaphore_create(0);
    uint64_t start = real_ms();
    dispatch_after(in_ms(60000), dispatch_get_global_queue(0, 0), ^{
      dispatch_semaphore_signal(done);
    });
    EXPECT(dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER) == 0);
    EXPECT(real_ms() - start >= 999);
    dispatch_release(done);
}

static void the_clock_runs_with_the_timers(void)
{
    (void)setenv("SIM_TIME_SCALE", "60", 1);
    uint64_t before = clock_gettime_nsec_np(CLOCK_UPTIME_RAW);
    dispatch_semaphore_t never = dispatch_semaphore_create(0);
    EXPECT(dispatch_semaphore_wait(never, in_ms(6000)) != 0);
    uint64_t passed = clock_gettime_nsec_np(CLOCK_UPTIME_RAW) - before;
    EXPECT(passed >= 6 * NSEC_PER_SEC);
    dispatch_release(never);
}

static void an_ignored_signal_still_fires_its_source(void)
{
    static atomic_int fired;
    (void)signal(SIGTERM, SIG_IGN);
    dispatch_source_t s = dispatch_source_create(DISPATCH_SOURCE_TYPE_SIGNAL, SIGTERM, 0,
                                                 dispatch_get_global_queue(0, 0));
    dispatch_source_set_event_handler(s, ^{
      atomic_fetch_add(&fired, 1);
    });
    dispatch_activate(s);
    (void)kill(getpid(), SIGTERM);
    wait_until(&fired, 1);
    dispatch_source_cancel(s);
    dispatch_release(s);
}

static void a_source_does_not_stop_the_default_action(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        dispatch_source_t s = dispatch_source_create(DISPATCH_SOURCE_TYPE_SIGNAL, SIGTERM, 0,
                                                     dispatch_get_global_queue(0, 0));
        dispatch_activate(s);
        (void)alarm(45);
        (void)kill(getpid(), SIGTERM);
        pause();
        _exit(0);
    }
    EXPECT(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void release_inactive_source(void)
{
    dispatch_release(
        dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, dispatch_get_main_queue()));
}

static void release_raised_semaphore_in_use(void)
{
    dispatch_semaphore_t s = dispatch_semaphore_create(1);
    dispatch_semaphore_wait(s, DISPATCH_TIME_FOREVER);
    dispatch_release(s);
}

static void unbalanced_transaction(void)
{
    xpc_transaction_begin();
    xpc_transaction_end();
    xpc_transaction_end();
}

static void transactions_are_reported_to_launchd(void)
{
    int pair[2];
    char fd[16], text[32] = "";
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = { (char *)"test_sim", (char *)"--transaction", NULL };
        (void)snprintf(fd, sizeof fd, "%d", pair[1]);
        (void)setenv("SIM_LAUNCHD", fd, 1);
        execv("/proc/self/exe", argv);
        _exit(1);
    }
    EXPECT(recv(pair[0], text, sizeof text - 1, 0) > 0 && strcmp(text, "active 1") == 0);
    memset(text, 0, sizeof text);
    EXPECT(recv(pair[0], text, sizeof text - 1, 0) > 0 && strcmp(text, "active 0") == 0);
    EXPECT(waitpid(pid, NULL, 0) == pid);
}

/* ---- vmnet ---- */

static vmnet_network_ref make_network(vmnet_return_t *status)
{
    vmnet_network_configuration_ref c = vmnet_network_configuration_create(VMNET_SHARED_MODE, NULL);
    vmnet_network_ref n = vmnet_network_create(c, status);
    CFRelease(c);
    return n;
}

static const char *address_of(vmnet_network_ref n)
{
    struct in_addr subnet, mask;
    static char text[INET_ADDRSTRLEN];
    vmnet_network_get_ipv4_subnet(n, &subnet, &mask);
    EXPECT(ntohl(mask.s_addr) == 0xffffff00);
    return inet_ntop(AF_INET, &subnet, text, sizeof text);
}

static void default_networks_take_the_next_subnet(void)
{
    vmnet_return_t status;
    vmnet_network_ref a = make_network(&status), b;
    EXPECT(a && status == VMNET_SUCCESS);
    EXPECT(strcmp(address_of(a), "192.168.64.1") == 0);
    EXPECT((b = make_network(NULL)) && strcmp(address_of(b), "192.168.65.1") == 0);
    CFRelease(a);
    EXPECT((a = make_network(NULL)) && strcmp(address_of(a), "192.168.64.1") == 0);
    CFRelease(a);
    CFRelease(b);
}

static void bridged_mode_is_not_for_networks(void)
{
    vmnet_return_t status;
    EXPECT(!vmnet_network_configuration_create(VMNET_BRIDGED_MODE, &status));
    EXPECT(status == VMNET_INVALID_ARGUMENT);
}

static void a_held_subnet_is_refused(void)
{
    vmnet_return_t status;
    vmnet_network_configuration_ref c = vmnet_network_configuration_create(VMNET_HOST_MODE, NULL);
    struct in_addr subnet, mask;
    inet_pton(AF_INET, "192.168.42.1", &subnet);
    inet_pton(AF_INET, "255.255.255.0", &mask);
    EXPECT(vmnet_network_configuration_set_ipv4_subnet(c, &subnet, &mask) == VMNET_SUCCESS);
    vmnet_network_ref n = vmnet_network_create(c, &status);
    EXPECT(n && strcmp(address_of(n), "192.168.42.1") == 0);
    EXPECT(!vmnet_network_create(c, &status) && status == VMNET_FAILURE);
    CFRelease(n);
    CFRelease(c);
}

static void a_public_subnet_is_refused(void)
{
    vmnet_network_configuration_ref c = vmnet_network_configuration_create(VMNET_HOST_MODE, NULL);
    struct in_addr subnet, mask;
    inet_pton(AF_INET, "203.0.113.1", &subnet);
    inet_pton(AF_INET, "255.255.255.0", &mask);
    EXPECT(vmnet_network_configuration_set_ipv4_subnet(c, &subnet, &mask) ==
           VMNET_INVALID_ARGUMENT);
    CFRelease(c);
}

static void injected_failures_happen(void)
{
    vmnet_return_t status;
    (void)setenv("SIM_FAIL", "vmnet_network_create=1002", 1);
    EXPECT(!make_network(&status) && status == VMNET_MEM_FAILURE);
}

static void a_serialization_dies_with_its_creators_network(void)
{
    vmnet_return_t status;
    vmnet_network_ref n = make_network(NULL);
    xpc_object_t s = vmnet_network_copy_serialization(n, &status);
    EXPECT(s && status == VMNET_SUCCESS);
    vmnet_network_ref other = vmnet_network_create_with_serialization(s, &status);
    EXPECT(other && strcmp(address_of(other), "192.168.64.1") == 0);
    CFRelease(n);
    CFRelease(other);
    EXPECT(!vmnet_network_create_with_serialization(s, &status) && status != VMNET_SUCCESS);
    xpc_release(s);
}

static interface_ref start_interface(vmnet_network_ref n, dispatch_queue_t q)
{
    xpc_object_t desc = xpc_dictionary_create_empty();
    dispatch_semaphore_t started = dispatch_semaphore_create(0);
    interface_ref i =
        vmnet_interface_start_with_network(n, desc, q, ^(vmnet_return_t status, xpc_object_t p) {
          EXPECT(status == VMNET_SUCCESS);
          EXPECT(xpc_dictionary_get_uint64(p, vmnet_max_packet_size_key) == 1514);
          dispatch_semaphore_signal(started);
        });
    EXPECT(i && dispatch_semaphore_wait(started, DISPATCH_TIME_FOREVER) == 0);
    dispatch_release(started);
    xpc_release(desc);
    return i;
}

static void stop_interface(interface_ref i, dispatch_queue_t q)
{
    dispatch_semaphore_t stopped = dispatch_semaphore_create(0);
    (void)vmnet_stop_interface(i, q, ^(vmnet_return_t status) {
      EXPECT(status == VMNET_SUCCESS);
      dispatch_semaphore_signal(stopped);
    });
    EXPECT(dispatch_semaphore_wait(stopped, DISPATCH_TIME_FOREVER) == 0);
    dispatch_release(stopped);
}

static void frames_pass_between_two_interfaces(void)
{
    char out[60] = "a frame", in[1514];
    struct iovec iov = { out, sizeof out };
    struct vmpktdesc p = { sizeof out, &iov, 1, 0 };
    int count = 1;
    dispatch_queue_t q = dispatch_queue_create("vm", DISPATCH_QUEUE_SERIAL);
    dispatch_semaphore_t arrived = dispatch_semaphore_create(0);
    vmnet_network_ref n = make_network(NULL);
    interface_ref a = start_interface(n, q), b = start_interface(n, q);
    CFRelease(n); /* the interfaces keep it */
    vmnet_interface_set_event_callback(b, VMNET_INTERFACE_PACKETS_AVAILABLE, q,
                                       ^(interface_event_t mask, xpc_object_t event) {
                                         (void)mask, (void)event;
                                         dispatch_semaphore_signal(arrived);
                                       });
    EXPECT(vmnet_write(a, &p, &count) == VMNET_SUCCESS && count == 1);
    EXPECT(dispatch_semaphore_wait(arrived, DISPATCH_TIME_FOREVER) == 0);
    iov = (struct iovec){ in, sizeof in };
    p.vm_pkt_size = sizeof in;
    count = 1;
    EXPECT(vmnet_read(b, &p, &count) == VMNET_SUCCESS && count == 1);
    EXPECT(p.vm_pkt_size == sizeof out && strcmp(in, "a frame") == 0);
    count = 1;
    p.vm_pkt_size = sizeof in;
    EXPECT(vmnet_read(a, &p, &count) == VMNET_SUCCESS && count == 0);
    stop_interface(a, q);
    stop_interface(b, q);
    dispatch_release(arrived);
    dispatch_release(q);
}

static void a_frame_in_two_pieces_is_refused(void)
{
    char data[60] = "";
    struct iovec iov[2] = { { data, 30 }, { data + 30, 30 } };
    struct vmpktdesc p = { 60, iov, 2, 0 };
    int count = 1;
    dispatch_queue_t q = dispatch_queue_create("vm", DISPATCH_QUEUE_SERIAL);
    vmnet_network_ref n = make_network(NULL);
    interface_ref a = start_interface(n, q);
    EXPECT(vmnet_write(a, &p, &count) == VMNET_INVALID_ARGUMENT);
    stop_interface(a, q);
    CFRelease(n);
    dispatch_release(q);
}

#define MISUSE "macos-sim: misuse: "
static const struct behaviour behaviours[] = {
    { "xpc: releasing an object too often ends the program", over_release, "xpc_release" },
    { "xpc: NULL must not be released", release_null, MISUSE "xpc_release: NULL" },
    { "xpc: a queue is not released with xpc_release()", release_foreign, "another framework" },
    { "CoreFoundation: NULL must not be released", cf_release_null, MISUSE "CFRelease: NULL" },
    { "xpc: typed getters give NULL, 0 or false for what is mistyped or missing",
      getters_never_fail_loudly },
    { "xpc: a dictionary retains its values, and NULL removes one",
      values_are_retained_and_null_removes },
    { "xpc: a NULL string cannot be set", set_null_string, "NULL string" },
    { "xpc: errors are singletons with a description", errors_describe_themselves },
    { "xpc: apply stops at false", apply_stops_at_false },
    { "xpc: a dictionary made here cannot be replied to", no_reply_to_what_was_not_received },
    { "xpc: a request gets its reply, once, and the service knows pid and euid",
      a_request_gets_its_reply },
    { "xpc: every type arrives as it was sent", every_type_arrives_as_it_was },
    { "xpc: asynchronous replies come on the queue that was named", replies_come_on_their_queue },
    { "xpc: a plain message carries no reply context", plain_messages_carry_no_reply_context },
    { "xpc: a request dropped unanswered ends the wait with an error",
      an_unanswered_request_ends_with_an_error },
    { "xpc: an unknown service is CONNECTION_INVALID for good",
      an_unknown_service_is_invalid_for_good },
    { "xpc: a listener for a name of another job is CONNECTION_INVALID",
      a_listener_for_a_foreign_name_is_invalid },
    { "xpc: a client whose service went is INTERRUPTED, and its next request connects anew",
      a_cancelled_peer_interrupts_its_client_which_may_go_on },
    { "xpc: a client's end comes after the messages it had sent",
      a_client_that_leaves_invalidates_the_peer_after_its_messages },
    { "xpc: cancelling gives one last CONNECTION_INVALID",
      cancel_gives_waiters_an_error_and_one_last_event },
    { "xpc: a barrier runs when all before it has been sent", a_barrier_runs_after_what_was_sent },
    { "xpc: sending needs activation", send_inactive, "never activated" },
    { "xpc: activation needs a handler", activate_without_handler, "no event handler" },
    { "xpc: an inactive connection must not be released", release_inactive_connection,
      "never activated" },
    { "xpc: a listener must activate or cancel every peer", peer_without_handler,
      "neither activated nor cancelled" },
    { "xpc: a synchronous request on the connection's own queue deadlocks", sync_send_on_own_queue,
      "deadlock" },
    { "xpc: transactions end as often as they begin", unbalanced_transaction, "no transaction" },
    { "launchd: hears whether the job is active", transactions_are_reported_to_launchd },
    { "dispatch: a serial queue keeps order", serial_queues_keep_order },
    { "dispatch: dispatch_sync on the queue that is running deadlocks", sync_on_own_queue,
      "deadlock" },
    { "dispatch: a timer set anew forgets its old time", a_timer_set_anew_forgets_its_old_time },
    { "dispatch: simulated time is scaled", scaled_time_passes_faster },
    { "dispatch: the clock runs with the timers", the_clock_runs_with_the_timers },
    { "dispatch: an ignored signal still fires its source",
      an_ignored_signal_still_fires_its_source },
    { "dispatch: a signal source does not stop the default action",
      a_source_does_not_stop_the_default_action },
    { "dispatch: a source that was never activated must not be released", release_inactive_source,
      "never activated" },
    { "dispatch: a semaphore in use must not be released", release_raised_semaphore_in_use,
      "in use" },
    { "vmnet: networks get the next free subnet and report the host's address",
      default_networks_take_the_next_subnet },
    { "vmnet: there are no bridged networks", bridged_mode_is_not_for_networks },
    { "vmnet: a subnet that is held is refused", a_held_subnet_is_refused },
    { "vmnet: a public subnet is refused", a_public_subnet_is_refused },
    { "vmnet: injected failures happen", injected_failures_happen },
    { "vmnet: a serialization is worth nothing once its network has gone",
      a_serialization_dies_with_its_creators_network },
    { "vmnet: a frame passes between two interfaces, not back to its sender",
      frames_pass_between_two_interfaces },
    { "vmnet: a frame in two pieces is refused", a_frame_in_two_pieces_is_refused },
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--transaction") == 0) {
        xpc_transaction_begin();
        xpc_transaction_end();
        return 0;
    }
    return behaviours_run(behaviours, sizeof behaviours / sizeof *behaviours);
}
