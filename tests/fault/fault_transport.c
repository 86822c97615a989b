/* SPDX-License-Identifier: Apache-2.0 */
/* The Varlink transport with the real core, when memory, descriptors or the kernel's
 * buffers are short. A client hears an answer or the end of its connection, and never waits
 * for ever; the next client is served. */
#include "broker.h"
#include "closer.h"
#include "fake_loop.h"
#include "fault.h"
#include "fault_memory.h"
#include "fd.h"
#include "mem.h"
#include "null_backend.h"
#include "transport_varlink.h"
#include "varlink.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#define ACQUIRE(name) CALL("Acquire", "\"network_name\":\"" name "\"")
#define CALL(method, parameters)                                                                   \
    "{\"method\":\"com.github.nirs.vmnet-broker." method "\",\"parameters\":{" parameters "}}"

void __wrap_closer_close(int fd);

/* On a thread, what it has still open would be counted. */
void __wrap_closer_close(int fd)
{
    fd_closep(&fd);
}

static struct house {
    struct fake_loop loop;
    sd_event *event;
    struct broker *broker;
    struct transport *transport;
    struct sockaddr_un address;
    socklen_t address_len;
} house;

static int listen_somewhere(void)
{
    struct sockaddr_un any = { .sun_family = AF_UNIX };
    int fd;

    fault_pause();
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    house.address_len = sizeof house.address;
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any.sun_family) == 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&house.address, &house.address_len), 0);
    fault_resume();
    return fd;
}

/* Returns whether it serves. */
static bool build(void)
{
    static const struct broker_config config = { .idle_timeout_sec = 120 };
    static const struct transport_about about = { "1", "user", "/state", "/state/log" };
    static const struct null_config nulls = { .fail = NULL };
    AUTO_FD fd = listen_somewhere();

    house.broker = broker_new(&config, &house.loop.loop, &transport_varlink_ops);
    if (!house.broker)
        return false;
    struct backend backend = null_backend(&house.loop.loop, &nulls);
    broker_set_backend(house.broker, &backend);
    if (transport_varlink_new(house.event, &broker_verbs, house.broker, &about, &house.transport) <
            0 ||
        transport_varlink_listen(house.transport, fd) < 0)
        return false;
    (void)fd_take(&fd);
    return true;
}

static void end(void)
{
    transport_varlink_free(house.transport);
    broker_free(house.broker);
    sd_event_unref(house.event);
    assert_int_equal(fake_loop_timers(&house.loop), 0);
}

static void turn(uint64_t usec)
{
    (void)sd_event_run(house.event, usec);
    fake_loop_advance(&house.loop, 1000);
}

static int come(void)
{
    fault_pause();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&house.address, house.address_len), 0);
    fault_resume();
    return fd;
}

/* Says it and waits for one reply: its text, or "" for the end of the connection. */
static const char *ask(int fd, const char *request)
{
    static char reply[65536];
    size_t len = 0;
    ssize_t n = -1;

    fault_pause();
    (void)send(fd, request, strlen(request) + 1, MSG_NOSIGNAL);
    fault_resume();
    /* A pause of accepting is 0.1 s; whoever waits for 2 s waits for ever. */
    for (int i = 0; i < 1000 && (len == 0 || reply[len - 1] != '\0'); i++) {
        turn(2000);
        fault_pause();
        n = recv(fd, reply + len, sizeof reply - len, 0);
        fault_resume();
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return "";
        len += n > 0 ? (size_t)n : 0;
    }
    assert_true(len > 0 && reply[len - 1] == '\0');
    return reply;
}

/* Returns whether the connection lives. */
static bool asks(int fd, const char *request)
{
    const char *reply = ask(fd, request);

    assert_true(fault_happened() || (reply[0] && !strstr(reply, "\"error\"")));
    return reply[0] != '\0';
}

static void a_visit(void)
{
    static const char *const requests[] = {
        ACQUIRE("shared"),
        CALL("StartInterface", "\"network_name\":\"shared\",\"queues\":2,\"name\":\"web\""),
        CALL("Status", ""),
        CALL("List", ""),
        CALL("Release", "\"network_name\":\"shared\""),
    };
    AUTO_FD fd = come();

    for (size_t i = 0; i < N_ELEMENTS(requests); i++)
        if (!asks(fd, requests[i]))
            return;
}

static void service_questions(void)
{
    AUTO_FD fd = come();

    if (asks(fd, "{\"method\":\"org.varlink.service.GetInfo\"}"))
        (void)asks(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
                       "\"parameters\":{\"interface\":\"com.github.nirs.vmnet-broker\"}}");
}

static void the_next_client_is_served(void)
{
    AUTO_FD fd = come();

    const char *reply = ask(fd, ACQUIRE("shared"));
    if (!strstr(reply, "\"network\""))
        fail_msg("the next client got '%s'", reply);
}

static void story(void)
{
    house = (struct house){ .event = NULL };
    fake_loop_init(&house.loop);
    assert_true(sd_event_new(&house.event) >= 0);
    fault_begin();
    bool serves = build();
    if (serves) {
        a_visit();
        service_questions();
        turn(0);
    }
    (void)fault_end();
    assert_true(serves || fault_happened());
    if (serves) {
        the_next_client_is_served();
        turn(0);
        turn(0);
    }
    end();
}

static void a_day_of_the_transport(void **unused)
{
    (void)unused;
    fault_each(story, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fault_test(a_day_of_the_transport),
    };
    fault_in_jansson();
    return cmocka_run_group_tests_name("faults in the transport", tests, NULL, NULL);
}
