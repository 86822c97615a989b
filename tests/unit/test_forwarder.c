/* SPDX-License-Identifier: Apache-2.0 */
/* Which clients keep their address on the way to a VM, and what the forwarder does with
 * connections: here from the loopback to the loopback, in a process that is confined as the
 * real one. That a VM sees its clients is shown by tests/system/forward_smoke.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "addr.h"
#include "fd.h"
#include "forwarder_part.h"
#include "mem.h"
#include "own_network.h"
#include "packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* ---- whose address is kept ------------------------------------------------------------- */

static void set_target(struct forwarder_order *order, const char *text)
{
    uint32_t v4;

    if (addr4_parse(text, &v4) == 0) {
        v4 = htonl(v4);
        memset(order->target, 0, sizeof order->target);
        order->target[10] = order->target[11] = 0xff;
        memcpy(order->target + 12, &v4, sizeof v4);
    } else {
        assert_int_equal(addr6_parse(text, order->target), 0);
    }
}

static struct sockaddr_storage client_at(const char *text)
{
    struct sockaddr_storage space = { 0 };
    struct sockaddr_in *v4 = (void *)&space;
    struct sockaddr_in6 *v6 = (void *)&space;

    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
    } else {
        memset(&space, 0, sizeof space);
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
    }
    return space;
}

static const struct {
    const char *client, *target;
    unsigned prefix;
    bool kept;
} clients[] = {
    { "198.51.100.1", "192.168.64.2", 96 + 24, true },
    { "10.0.0.1", "192.168.64.2", 96 + 24, true },
    { "192.168.65.7", "192.168.64.2", 96 + 24, true },  /* another network's guest */
    { "192.168.64.7", "192.168.64.2", 96 + 24, false }, /* the VM would look for a neighbour */
    { "192.168.64.65", "192.168.64.2", 96 + 26, true },
    { "192.168.64.63", "192.168.64.2", 96 + 26, false },
    { "192.168.127.1", "192.168.64.2", 96 + 18, false },
    { "127.0.0.1", "192.168.64.2", 96 + 24, false },
    { "169.254.1.1", "192.168.64.2", 96 + 24, false },
    { "0.0.0.0", "192.168.64.2", 96 + 24, false },
    { "224.0.0.1", "192.168.64.2", 96 + 24, false },
    { "255.255.255.255", "192.168.64.2", 96 + 24, false },
    { "2001:db8::1", "192.168.64.2", 96 + 24, false }, /* another family */
    { "2001:db8::1", "fd00:64::2", 64, true },
    { "fd00:65::1", "fd00:64::2", 64, true },
    { "fd00:64::9", "fd00:64::2", 64, false },
    { "198.51.100.1", "fd00:64::2", 64, false },
    { "::1", "fd00:64::2", 64, false },
    { "::", "fd00:64::2", 64, false },
    { "fe80::1", "fd00:64::2", 64, false },
    { "ff02::1", "fd00:64::2", 64, false },
};

static void a_client_keeps_its_address_where_that_can_be_answered(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(clients); i++) {
        struct forwarder_order order = { .prefix = clients[i].prefix, .transparent = 1 };
        struct sockaddr_storage client = client_at(clients[i].client);

        set_target(&order, clients[i].target);
        if (dial_keeps(&order, &client) != clients[i].kept)
            fail_msg("%s to %s", clients[i].client, clients[i].target);
        order.transparent = 0;
        assert_false(dial_keeps(&order, &client));
    }
}

/* ---- a forwarder ------------------------------------------------------------------------- */

struct stage {
    pid_t forwarder;
    int dirfd, netd;
    char path[32];
    int vm;                 /* listens where the forward leads */
    uint16_t vm_port, port; /* and the host's port that leads there */
};

/* A socket that has a port of the loopback; one for a stream does not listen yet. */
static int bound(int type, uint16_t *ret_port)
{
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;
    socklen_t len = sizeof here;

    assert_true(fd >= 0);
    if (type == SOCK_DGRAM)
        assert_int_equal(setsockopt(fd, SOL_IP, IP_PKTINFO, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&here, sizeof here), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &len), 0);
    *ret_port = ntohs(here.sin_port);
    return fd;
}

static int listener(int type, uint16_t *ret_port)
{
    int fd = bound(type, ret_port);

    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static void order(struct stage *st, enum forwarder_op op, uint32_t number, int type)
{
    struct forwarder_order o = { .op = op,
                                 .number = number,
                                 .protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP,
                                 .port = st->vm_port,
                                 .prefix = 96 + 8 };
    int fd = -1;

    set_target(&o, "127.0.0.1");
    if (op == FORWARDER_ADD) {
        fd = listener(type, &st->port);
        assert_int_equal(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
    }
    assert_int_equal(packet_send(st->netd, &o, sizeof o, &fd, fd >= 0), 0);
    fd_closep(&fd);
}

/* What it says to netd. */
static struct forwarder_list heard(int netd, enum forwarder_op op)
{
    struct pollfd on = { .fd = netd, .events = POLLIN };
    struct forwarder_list list;
    int fds[PACKET_FDS];
    size_t n = 0;

    assert_int_equal(poll(&on, 1, 20000), 1);
    assert_int_equal(packet_receive(netd, &list, sizeof list, fds, &n), 0);
    assert_int_equal(list.op, op);
    return list;
}

static int set_up(void **state)
{
    struct stage *st = calloc(1, sizeof *st);
    int ends[2];

    assert_non_null(st);
    (void)snprintf(st->path, sizeof st->path, "/tmp/forwarder.XXXXXX");
    assert_non_null(mkdtemp(st->path));
    st->dirfd = open(st->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(st->dirfd >= 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
                     0);
    st->forwarder = fork();
    if (st->forwarder == 0)
        forwarder_main(forwarder_bind(st->dirfd), ends[1]);
    (void)close(ends[1]);
    st->netd = ends[0];
    st->vm = listener(SOCK_STREAM, &st->vm_port);
    *state = st;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *st = *state;
    int status = 0;

    (void)kill(st->forwarder, SIGTERM);
    assert_int_equal(waitpid(st->forwarder, &status, 0), st->forwarder);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    (void)unlinkat(st->dirfd, FORWARDER_SOCKET, 0);
    fd_closep(&st->dirfd);
    fd_closep(&st->netd);
    fd_closep(&st->vm);
    (void)rmdir(st->path);
    free(st);
    return 0;
}

static int client_of(const struct stage *st, int type)
{
    struct sockaddr_in there = { .sin_family = AF_INET,
                                 .sin_port = htons(st->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct timeval patience = { .tv_sec = 20 };
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&there, sizeof there), 0);
    return fd;
}

static int accepted(const struct stage *st)
{
    struct pollfd on = { .fd = st->vm, .events = POLLIN };

    assert_int_equal(poll(&on, 1, 20000), 1);
    int fd = accept4(st->vm, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void expect(int fd, const char *text)
{
    char got[64] = "";
    ssize_t n =
        recv(fd, got, strlen(text) ? strlen(text) : sizeof got, strlen(text) ? MSG_WAITALL : 0);

    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, strlen(text));
}

#define END "" /* what recv() says then */

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void expect_reset(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void the_server_may_speak_first_and_each_end_is_passed_on(void **state)
{
    struct stage *st = *state;

    order(st, FORWARDER_ADD, 1, SOCK_STREAM);
    AUTO_FD client = client_of(st, SOCK_STREAM), vm = accepted(st);
    say(vm, "220 hello");
    expect(client, "220 hello");
    say(client, "QUIT");
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    expect(vm, "QUIT");
    expect(vm, END);
    say(vm, "221 bye"); /* the other direction is still open */
    expect(client, "221 bye");
    fd_closep(&vm);
    expect(client, END);
}

static void a_reset_is_passed_on(void **state)
{
    const struct linger at_once = { .l_onoff = 1 };
    struct stage *st = *state;

    order(st, FORWARDER_ADD, 1, SOCK_STREAM);
    AUTO_FD client = client_of(st, SOCK_STREAM), vm = accepted(st);
    say(client, "x");
    expect(vm, "x");
    assert_int_equal(setsockopt(vm, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    fd_closep(&vm);
    expect_reset(client);
}

static void nobody_there_is_a_reset(void **state)
{
    struct stage *st = *state;

    fd_closep(&st->vm);
    st->vm = bound(SOCK_STREAM, &st->vm_port); /* nobody else gets its port */
    order(st, FORWARDER_ADD, 1, SOCK_STREAM);
    AUTO_FD client = client_of(st, SOCK_STREAM);
    expect_reset(client);
}

/* Sends until nothing has been taken for a while. */
static size_t send_all_that_fits(int fd)
{
    static const char data[65536];
    struct pollfd on = { .fd = fd, .events = POLLOUT };
    size_t sent = 0;

    while (poll(&on, 1, 500) == 1) {
        ssize_t n = send(fd, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(n > 0);
        sent += (size_t)n;
        assert_true(sent < 256u << 20);
    }
    return sent;
}

static void who_does_not_read_is_felt_by_who_sends_and_nothing_is_lost(void **state)
{
    static char data[65536];
    struct stage *st = *state;
    size_t got = 0;
    ssize_t n;

    order(st, FORWARDER_ADD, 1, SOCK_STREAM);
    AUTO_FD client = client_of(st, SOCK_STREAM), vm = accepted(st);
    size_t sent = send_all_that_fits(client);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    while ((n = recv(vm, data, sizeof data, 0)) > 0)
        got += (size_t)n;
    assert_int_equal(n, 0);
    assert_int_equal(got, sent);
}

static void a_forward_that_goes_cuts_what_came_through_it(void **state)
{
    struct stage *st = *state;

    order(st, FORWARDER_ADD, 1, SOCK_STREAM);
    AUTO_FD client = client_of(st, SOCK_STREAM), vm = accepted(st);
    say(client, "x");
    expect(vm, "x");
    uint16_t kept_port = st->port;
    order(st, FORWARDER_ADD, 2, SOCK_STREAM);
    AUTO_FD other = client_of(st, SOCK_STREAM), other_vm = accepted(st);
    order(st, FORWARDER_REMOVE, 1, SOCK_STREAM);
    assert_int_equal(heard(st->netd, FORWARDER_REMOVED).numbers[0], 1);
    expect_reset(client);
    say(other, "alive");
    expect(other_vm, "alive");

    struct sockaddr_in there = { .sin_family = AF_INET,
                                 .sin_port = htons(kept_port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    AUTO_FD late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(late, (struct sockaddr *)&there, sizeof there), -1);
    assert_int_equal(errno, ECONNREFUSED);
}

static void datagrams_find_their_way_back(void **state)
{
    struct stage *st = *state;
    struct sockaddr_in from;
    char data[16];

    fd_closep(&st->vm);
    st->vm = listener(SOCK_DGRAM, &st->vm_port);
    order(st, FORWARDER_ADD, 1, SOCK_DGRAM);
    AUTO_FD one = client_of(st, SOCK_DGRAM), two = client_of(st, SOCK_DGRAM);
    say(one, "one");
    say(two, "two");
    for (int i = 0; i < 2; i++) {
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(st->vm, data, sizeof data, 0, (struct sockaddr *)&from, &len);
        assert_int_equal(n, 3);
        assert_int_equal(sendto(st->vm, data, 3, 0, (struct sockaddr *)&from, len), 3);
    }
    expect(one, "one");
    expect(two, "two");
}

/* ---- netd --------------------------------------------------------------------------------- */

static void the_next_netd_finds_it_with_all_that_it_has(void **state)
{
    struct stage *st = *state;

    order(st, FORWARDER_ADD, 5, SOCK_STREAM);
    AUTO_FD client = client_of(st, SOCK_STREAM), vm = accepted(st);
    fd_closep(&st->netd);
    say(client, "alone");
    expect(vm, "alone");

    st->netd = forwarder_connect(st->dirfd);
    assert_true(st->netd >= 0);
    struct forwarder_list list = heard(st->netd, FORWARDER_HAS);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.numbers[0], 5);
    order(st, FORWARDER_REMOVE, 5, SOCK_STREAM);
    expect_reset(client);
}

static void nonsense_ends_the_line_and_nothing_else(void **state)
{
    struct stage *st = *state;
    char byte;

    order(st, FORWARDER_ADD, 5, SOCK_STREAM);
    AUTO_FD client = client_of(st, SOCK_STREAM), vm = accepted(st);
    order(st, (enum forwarder_op)77, 6, SOCK_STREAM);
    struct pollfd on = { .fd = st->netd, .events = POLLIN };
    assert_int_equal(poll(&on, 1, 20000), 1);
    assert_int_equal(recv(st->netd, &byte, 1, 0), 0);
    say(client, "alive");
    expect(vm, "alive");
}

int main(void)
{
#define STAGED(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_keeps_its_address_where_that_can_be_answered),
        STAGED(the_server_may_speak_first_and_each_end_is_passed_on),
        STAGED(a_reset_is_passed_on),
        STAGED(nobody_there_is_a_reset),
        STAGED(who_does_not_read_is_felt_by_who_sends_and_nothing_is_lost),
        STAGED(a_forward_that_goes_cuts_what_came_through_it),
        STAGED(datagrams_find_their_way_back),
        STAGED(the_next_netd_finds_it_with_all_that_it_has),
        STAGED(nonsense_ends_the_line_and_nothing_else),
    };
    return cmocka_run_group_tests_name("forwarder", tests, own_network, NULL);
}
