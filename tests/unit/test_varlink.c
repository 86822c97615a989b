/* SPDX-License-Identifier: Apache-2.0 */
/* The framing: whatever way the bytes come, the messages and their descriptors are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fd.h"
#include "mem.h"
#include "varlink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static const struct varlink_limits limits = { .message_max = VARLINK_REQUEST_MAX,
                                              .output_max = 1 << 20,
                                              .fds_max = 4 };

struct ends {
    struct varlink *a, *b;
};

static struct ends ends_new(int flags)
{
    int sock[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, sock), 0);
    struct ends ends = { varlink_new(sock[0], &limits), varlink_new(sock[1], &limits) };
    assert_non_null(ends.a);
    assert_non_null(ends.b);
    return ends;
}

static void ends_free(struct ends *ends)
{
    varlink_free(ends->a);
    varlink_free(ends->b);
}

static void put(const struct varlink *to, const char *bytes, size_t len)
{
    assert_int_equal(send(varlink_fd(to), bytes, len, MSG_NOSIGNAL), len);
}

/* What comes next at b: the "n" of the message, or what varlink_next() said. */
static int next_n(struct varlink *stream)
{
    json_t *message = NULL;
    int r = varlink_next(stream, &message);
    if (r == 1)
        r = (int)json_integer_value(json_object_get(message, "n"));
    json_decref(message);
    return r;
}

static void messages_may_be_split_at_any_byte(void **state)
{
    (void)state;
    static const char bytes[] = "{\"n\":1}\0{\"n\":2,\"x\":[{}]}\0{\"n\":3}";
    for (size_t cut = 1; cut < sizeof bytes; cut++) {
        struct ends ends = ends_new(SOCK_NONBLOCK);
        int seen = 0, n;
        const char *part[] = { bytes, bytes + cut };
        size_t len[] = { cut, sizeof bytes - cut };
        for (int i = 0; i < 2; i++) {
            put(ends.a, part[i], len[i]);
            assert_int_equal(varlink_fill(ends.b), 1);
            while ((n = next_n(ends.b)) != 0)
                assert_int_equal(n, ++seen);
        }
        assert_int_equal(seen, 3);
        assert_int_equal(varlink_unread(ends.b), 0);
        assert_int_equal(varlink_fill(ends.b), -EAGAIN);
        ends_free(&ends);
    }
}

static void a_message_may_come_byte_by_byte(void **state)
{
    (void)state;
    static const char bytes[] = "{\"n\":5}";
    struct ends ends = ends_new(SOCK_NONBLOCK);
    for (size_t i = 0; i < sizeof bytes; i++) {
        assert_int_equal(next_n(ends.b), 0);
        assert_false(varlink_has_message(ends.b));
        put(ends.a, bytes + i, 1);
        assert_int_equal(varlink_fill(ends.b), 1);
    }
    assert_true(varlink_has_message(ends.b));
    assert_int_equal(next_n(ends.b), 5);
    ends_free(&ends);
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int want;
    } cases[] = {
        { "", -EBADMSG },
        { "[]", -EBADMSG },
        { "7", -EBADMSG },
        { "{", -EBADMSG },
        { "{}x", -EBADMSG },
        { "{\"n\":1,\"n\":2}", -EBADMSG },
        { "{\"n\":\"\xff\"}", -EBADMSG },
        { "{\"n\":\"\xc0\xaf\"}", -EBADMSG },
        { "{\"n\":\"\xed\xa0\x80\"}", -EBADMSG },
        { "{\"n\":99999999999999999999}", -EBADMSG },
        { "{\"n\":1e999}", -EBADMSG },
        { "{\"a\\u0000\":1}", -EBADMSG },
        { "{\"n\":7,\"x\":\"\\u0000\"}", 7 },
        { " {\"n\" : 7 }\n", 7 },
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct ends ends = ends_new(SOCK_NONBLOCK);
        put(ends.a, cases[i].bytes, strlen(cases[i].bytes) + 1);
        assert_int_equal(varlink_fill(ends.b), 1);
        int got = next_n(ends.b);
        if (got != cases[i].want)
            fail_msg("%s: %d", cases[i].bytes, got);
        ends_free(&ends);
    }
}

/* A writer that sends `len` blanks and then an object, a reader that takes all it can. */
static int long_message(size_t len)
{
    struct ends ends = ends_new(SOCK_NONBLOCK);
    static const char tail[] = "{\"n\":9}";
    char blanks[1000];
    memset(blanks, ' ', sizeof blanks);
    int r = 0;
    for (size_t left = len - strlen(tail); left > 0 && r == 0;) {
        size_t n = left < sizeof blanks ? left : sizeof blanks;
        put(ends.a, blanks, n);
        left -= n;
        r = varlink_fill(ends.b);
        r = r == 1 ? next_n(ends.b) : r;
    }
    put(ends.a, tail, sizeof tail);
    if (r == 0)
        r = varlink_fill(ends.b);
    r = r == 1 ? next_n(ends.b) : r;
    ends_free(&ends);
    return r;
}

static void a_message_may_have_the_limit_and_not_a_byte_more(void **state)
{
    (void)state;
    assert_int_equal(long_message(VARLINK_REQUEST_MAX), 9);
    assert_int_equal(long_message(VARLINK_REQUEST_MAX + 1), -EMSGSIZE);
    assert_int_equal(long_message(VARLINK_REQUEST_MAX * 2), -EMSGSIZE);
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    struct ends ends = ends_new(SOCK_NONBLOCK);
    static char bytes[20005];
    memset(bytes, '[', sizeof bytes);
    memcpy(bytes, "{\"n\":", 5);
    bytes[sizeof bytes - 1] = '\0';
    put(ends.a, bytes, sizeof bytes);
    while (varlink_fill(ends.b) == 1)
        ;
    assert_int_equal(next_n(ends.b), -EBADMSG);
    ends_free(&ends);
}

static void reading_stops_when_nobody_takes_the_messages(void **state)
{
    (void)state;
    struct ends ends = ends_new(SOCK_NONBLOCK);
    size_t sent = 0;
    int r = 1;
    while (r == 1) {
        put(ends.a, "{\"n\":1}", 8);
        sent++;
        r = varlink_fill(ends.b);
    }
    assert_int_equal(r, -EMSGSIZE);
    assert_true(varlink_unread(ends.b) <= VARLINK_REQUEST_MAX + 1);
    size_t seen = 0;
    do
        while (next_n(ends.b) == 1)
            seen++;
    while (varlink_fill(ends.b) == 1);
    assert_int_equal(seen, sent);
    ends_free(&ends);
}

/* ---- descriptors ---- */

static unsigned released;

static void count_release(void *arg)
{
    (void)arg;
    released++;
}

static int queue_n(struct varlink *stream, int n, const int *fds, size_t n_fds)
{
    json_t *message = json_pack("{s:i}", "n", n);
    struct varlink_fds passed = { fds, n_fds, count_release, NULL };
    int r = varlink_queue(stream, message, n_fds ? &passed : NULL);
    json_decref(message);
    return r;
}

static ino_t inode(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

static void descriptors_belong_to_their_message_among_others(void **state)
{
    (void)state;
    struct ends ends = ends_new(SOCK_NONBLOCK);
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    released = 0;
    assert_int_equal(queue_n(ends.a, 1, NULL, 0), 0);
    assert_int_equal(queue_n(ends.a, 2, &pipes[0], 1), 0);
    assert_int_equal(queue_n(ends.a, 3, NULL, 0), 0);
    assert_int_equal(queue_n(ends.a, 4, pipes, 2), 0);
    assert_int_equal(varlink_flush(ends.a), 1);
    assert_int_equal(varlink_pending(ends.a), 0);
    assert_int_equal(released, 2);
    while (varlink_fill(ends.b) == 1)
        ;
    static const size_t want[] = { 0, 1, 0, 2 };
    for (int i = 0; i < 4; i++) {
        assert_int_equal(next_n(ends.b), i + 1);
        assert_int_equal(varlink_n_fds(ends.b), want[i]);
    }
    int got = varlink_take_fd(ends.b, 1);
    assert_int_equal(inode(got), inode(pipes[1]));
    assert_int_equal(fcntl(got, F_GETFD), FD_CLOEXEC);
    assert_int_equal(varlink_take_fd(ends.b, 1), -1);
    assert_int_equal(varlink_take_fd(ends.b, 2), -1);
    close(got);
    close(pipes[0]);
    close(pipes[1]);
    ends_free(&ends);
}

static int open_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void descriptors_that_nobody_takes_are_closed(void **state)
{
    (void)state;
    int before = open_fds();
    struct ends ends = ends_new(SOCK_NONBLOCK);
    int in_use = open_fds(), fds[] = { 0, 0, 0, 0 };
    for (int i = 1; i <= 3; i++) { /* one is overtaken, one given, one waiting */
        assert_int_equal(queue_n(ends.a, i, fds, 4), 0);
        assert_int_equal(varlink_flush(ends.a), 1);
        assert_int_equal(varlink_fill(ends.b), 1);
    }
    assert_int_equal(next_n(ends.b), 1);
    assert_int_equal(next_n(ends.b), 2);
    assert_int_equal(open_fds(), in_use + 8);
    ends_free(&ends);
    assert_int_equal(open_fds(), before);
}

static void descriptors_beyond_the_limit_end_the_stream(void **state)
{
    (void)state;
    int before = open_fds();
    struct ends ends = ends_new(SOCK_NONBLOCK);
    int in_use = open_fds(), fds[VARLINK_FDS_MAX] = { 0 };
    assert_int_equal(queue_n(ends.a, 1, fds, 5), 0);
    assert_int_equal(varlink_flush(ends.a), 1);
    assert_int_equal(varlink_fill(ends.b), -EPROTO);
    assert_int_equal(open_fds(), in_use);
    assert_int_equal(queue_n(ends.a, 1, fds, VARLINK_FDS_MAX + 1), -EINVAL);
    ends_free(&ends);
    assert_int_equal(open_fds(), before);
}

/* ---- sending ---- */

static void output_is_bounded_and_continues_where_it_stopped(void **state)
{
    (void)state;
    struct ends ends = ends_new(SOCK_NONBLOCK);
    int queued = 0;
    while (queue_n(ends.a, queued + 1, NULL, 0) == 0)
        queued++;
    assert_int_equal(queue_n(ends.a, queued + 1, NULL, 0), -ENOBUFS);
    assert_true(varlink_pending(ends.a) <= limits.output_max);
    int seen = 0, n, r;
    do {
        r = varlink_flush(ends.a);
        assert_in_range(r, 0, 1);
        do
            while ((n = next_n(ends.b)) > 0)
                assert_int_equal(n, ++seen);
        while (varlink_fill(ends.b) == 1);
    } while (r == 0);
    assert_int_equal(seen, queued);
    ends_free(&ends);
}

static void unsent_descriptors_are_released_with_the_stream(void **state)
{
    (void)state;
    struct ends ends = ends_new(SOCK_NONBLOCK);
    int fd = 0;
    released = 0;
    assert_int_equal(queue_n(ends.a, 1, &fd, 1), 0);
    ends_free(&ends);
    assert_int_equal(released, 1);
}

static void a_closed_partner_is_an_error_and_no_signal(void **state)
{
    (void)state;
    struct ends ends = ends_new(0);
    json_t *message = NULL;
    varlink_free(take_ptr(&ends.b));
    assert_int_equal(varlink_receive(ends.a, &message), -ECONNRESET);
    assert_int_equal(queue_n(ends.a, 1, NULL, 0), 0);
    assert_int_equal(varlink_flush(ends.a), -EPIPE);
    ends_free(&ends);
}

static void a_blocking_socket_waits_for_the_message(void **state)
{
    (void)state;
    struct ends ends = ends_new(0);
    json_t *message = NULL;
    put(ends.a, "{\"n\":1}\0{\"n\"", 12);
    assert_int_equal(varlink_receive(ends.b, &message), 0);
    json_decref(message);
    put(ends.a, ":2}", 4);
    assert_int_equal(varlink_receive(ends.b, &message), 0);
    assert_int_equal(json_integer_value(json_object_get(message, "n")), 2);
    json_decref(message);
    ends_free(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_may_be_split_at_any_byte),
        cmocka_unit_test(a_message_may_come_byte_by_byte),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(a_message_may_have_the_limit_and_not_a_byte_more),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(reading_stops_when_nobody_takes_the_messages),
        cmocka_unit_test(descriptors_belong_to_their_message_among_others),
        cmocka_unit_test(descriptors_that_nobody_takes_are_closed),
        cmocka_unit_test(descriptors_beyond_the_limit_end_the_stream),
        cmocka_unit_test(output_is_bounded_and_continues_where_it_stopped),
        cmocka_unit_test(unsent_descriptors_are_released_with_the_stream),
        cmocka_unit_test(a_closed_partner_is_an_error_and_no_signal),
        cmocka_unit_test(a_blocking_socket_waits_for_the_message),
    };
    return cmocka_run_group_tests_name("varlink", tests, NULL, NULL);
}
