/* SPDX-License-Identifier: Apache-2.0 */
/* Which resolvers a resolv.conf means, and whom the relay asks in which order. That it
 * carries messages is shown by tests/system/uplink_smoke.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "log.h"
#include "mem.h"
#include "resolvers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct story {
    const char *name, *text, *servers; /* as "address address" */
} stories[] = {
    { "nothing means the host's own", "", "127.0.0.1" },
    { "order is kept", "nameserver 203.0.113.53\nnameserver 198.51.100.53\n",
      "203.0.113.53 198.51.100.53" },
    { "blanks and comments", "# nameserver 1.1.1.1\n;x\n\n  nameserver\t 203.0.113.53 # x\r\n",
      "203.0.113.53" },
    { "IPv6, and no newline at the end", "nameserver 2001:db8::53", "2001:db8::53" },
    { "a scope", "nameserver fe80::1%lo\n", "fe80::1%lo" },
    { "nonsense is skipped",
      "nameserver\nnameserver here\nnameservers 1.2.3.4\noptions x\n"
      "nameserver 203.0.113.53\n",
      "203.0.113.53" },
    { "the first three count, as in glibc",
      "nameserver 203.0.113.1\nnameserver 203.0.113.2\nnameserver 203.0.113.3\n"
      "nameserver 203.0.113.4\n",
      "203.0.113.1 203.0.113.2 203.0.113.3" },
};

static void read_text(struct resolvers *rs, const char *text)
{
    FILE *file = fmemopen((char *)(uintptr_t)text, strlen(text) + !*text, "r");

    assert_non_null(file);
    resolvers_read(rs, *text ? file : NULL, SERVERS_GLIBC);
    (void)fclose(file);
}

static void files_mean_their_resolvers(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(stories); i++) {
        struct resolvers rs = { .n = 0 };
        char got[256] = "";

        read_text(&rs, stories[i].text);
        for (size_t k = 0; k < rs.n; k++) {
            char host[64], port[8];
            assert_int_equal(getnameinfo((struct sockaddr *)&rs.server[k].addr, rs.server[k].len,
                                         host, sizeof host, port, sizeof port,
                                         NI_NUMERICHOST | NI_NUMERICSERV),
                             0);
            assert_string_equal(port, "53");
            strcat(strcat(got, k ? " " : ""), host);
        }
        if (strcmp(got, stories[i].servers) != 0)
            fail_msg("%s: got %s", stories[i].name, got);
    }
}

static void each_resolver_is_tried_once(void **unused)
{
    struct resolvers rs = { .n = 0 };
    struct attempt at = { 1, 1, 0 };
    size_t server = 0;

    (void)unused;
    read_text(&rs, stories[6].text);
    rs.first = 1;
    for (size_t expect = 1; expect < 4; expect++) {
        assert_true(attempt_server(&rs, &at, &server));
        assert_int_equal(server, expect % 3);
        assert_int_equal(attempt_is_last(&rs, &at), expect == 3);
        attempt_failed(&rs, &at);
    }
    assert_false(attempt_server(&rs, &at, &server));
}

static void who_failed_is_not_asked_first_again_for_a_while(void **unused)
{
    struct resolvers rs = { .n = 0 };

    (void)unused;
    read_text(&rs, stories[6].text);
    resolvers_blame(&rs, 0, 100 * SEC);
    assert_int_equal(rs.first, 1);
    resolvers_blame(&rs, 0, 101 * SEC); /* a latecomer's complaint */
    assert_int_equal(rs.first, 1);
    resolvers_refresh(&rs, 100 * SEC + GRUDGE + 1);
    assert_int_equal(rs.first, 0);
}

static void an_absent_file_is_read_once(void **unused)
{
    struct resolvers rs = { .path = "/nonexistent" };

    (void)unused;
    resolvers_refresh(&rs, 0);
    assert_int_equal(rs.n, 1);
    resolvers_refresh(&rs, 1);
    assert_int_equal(rs.version, 1);
}

struct changing_file {
    char path[32];
    int fd;
    struct timespec times[2]; /* which it always has */
};

static void rewrite(const struct changing_file *file, const char *text)
{
    assert_return_code(ftruncate(file->fd, 0), errno);
    assert_int_equal(pwrite(file->fd, text, strlen(text), 0), strlen(text));
    assert_return_code(futimens(file->fd, file->times), errno);
}

/* In a tick of the clock that files get their times from. */
static void a_file_that_changes_twice_at_once_is_read_again(void **unused)
{
    struct changing_file file = { .path = "/tmp/test-relay.XXXXXX" };
    struct resolvers rs = { .path = file.path };

    (void)unused;
    file.fd = mkstemp(file.path);
    assert_return_code(file.fd, errno);
    rewrite(&file, ""); /* at time 0 */
    resolvers_refresh(&rs, 0);
    rewrite(&file, stories[1].text);
    resolvers_refresh(&rs, 0);
    assert_int_equal(rs.n, 2);
    while (!rs.again) { /* this process may have been too slow */
        assert_return_code(clock_gettime(CLOCK_REALTIME, &file.times[1]), errno);
        rewrite(&file, "nameserver 203.0.113.1\n");
        resolvers_refresh(&rs, 0);
    }
    rewrite(&file, "nameserver 203.0.113.2\n");
    resolvers_refresh(&rs, 0);
    assert_int_equal(((struct sockaddr_in *)&rs.server[0].addr)->sin_addr.s_addr,
                     htonl(0xCB007102));
    assert_return_code(unlink(file.path), errno);
    assert_return_code(close(file.fd), errno);
}

static void servers_that_are_given_stay(void **unused)
{
    struct resolvers rs = { .path = NULL };

    (void)unused;
    read_text(&rs, stories[1].text);
    resolvers_blame(&rs, 0, 100 * SEC);
    resolvers_refresh(&rs, 101 * SEC);
    assert_int_equal(rs.n, 2);
    assert_int_equal(rs.version, 1);
    assert_int_equal(rs.first, 1);
    resolvers_refresh(&rs, 100 * SEC + GRUDGE + 1);
    assert_int_equal(rs.first, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_mean_their_resolvers),
        cmocka_unit_test(each_resolver_is_tried_once),
        cmocka_unit_test(who_failed_is_not_asked_first_again_for_a_while),
        cmocka_unit_test(an_absent_file_is_read_once),
        cmocka_unit_test(a_file_that_changes_twice_at_once_is_read_again),
        cmocka_unit_test(servers_that_are_given_stay),
    };
    log_init("test_relay", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
