/* SPDX-License-Identifier: Apache-2.0 */
/* In a network of its own, for a port that nobody else has by the same number. */
#include "port_owner.h"

#include "own_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A socket on any port of the loopback address of this version of IP. */
static int open_port(int family, int type, uint16_t *ret)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = { .any.sa_family = (sa_family_t)family };
    socklen_t len = family == AF_INET6 ? sizeof a.v6 : sizeof a.v4;
    int fd = socket(family, type | SOCK_CLOEXEC, 0);

    if (family == AF_INET6)
        a.v6.sin6_addr = in6addr_loopback;
    else
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, &a.any, len), 0);
    assert_int_equal(getsockname(fd, &a.any, &len), 0);
    *ret = ntohs(a.v4.sin_port); /* is at the same place in both */
    return fd;
}

static void assert_is_this_process(bool udp, uint16_t port)
{
    struct port_owner owner;
    char text[PORT_OWNER_TEXT], words[64];

    assert_int_equal(port_owner_find(udp, port, &owner), 0);
    assert_int_equal(owner.uid, getuid());
    assert_int_equal(owner.pid, getpid());
    (void)snprintf(words, sizeof words, "process %d (test_port_owner) of user '", getpid());
    assert_non_null(strstr(port_owner_words(&owner, text), words));
}

static void a_process_of_ones_own_is_named(void **unused)
{
    (void)unused;
    static const int families[] = { AF_INET, AF_INET6 };
    for (size_t i = 0; i < 2; i++) {
        struct port_owner owner;
        uint16_t tcp, udp;
        int fd = open_port(families[i], SOCK_STREAM, &tcp);
        assert_int_equal(port_owner_find(false, tcp, &owner), -ENOENT); /* it does not listen */
        assert_int_equal(listen(fd, 1), 0);
        assert_is_this_process(false, tcp);
        (void)close(fd);
        assert_int_equal(port_owner_find(false, tcp, &owner), -ENOENT);

        fd = open_port(families[i], SOCK_DGRAM, &udp);
        assert_is_this_process(true, udp);
        (void)close(fd);
    }
}

static void of_others_the_user_is_named_and_no_more(void **unused)
{
    (void)unused;
    const struct port_owner owner = { .uid = 0 };
    char text[PORT_OWNER_TEXT];
    assert_string_equal(port_owner_words(&owner, text), "a process of user 'root'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_of_ones_own_is_named),
        cmocka_unit_test(of_others_the_user_is_named_and_no_more),
    };
    return cmocka_run_group_tests_name("port_owner", tests, own_network, NULL);
}
