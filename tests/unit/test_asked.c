/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told of questions, how often, and of whose. The guests' bridge is the loopback of a
 * namespace of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "asked.h"
#include "fd.h"
#include "own_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INDEX         3u
#define QUIET_MSEC    100
#define PATIENCE_USEC 5000000u /* far more than it takes */

struct scene {
    sd_event *event;
    struct nft *nft;
    struct asked *asked;
    unsigned told;
};

static void on_told(void *arg)
{
    struct scene *s = arg;

    s->told++;
}

static void begin(struct scene *s)
{
    *s = (struct scene){ .told = 0 };
    assert_true(sd_event_new(&s->event) >= 0);
    s->nft = nft_new();
    assert_non_null(s->nft);
    assert_int_equal(asked_new(s->event, s->nft, &s->asked), 0);
}

static void end(struct scene *s)
{
    asked_free(s->asked);
    nft_free(s->nft);
    sd_event_unref(s->event);
}

/* When it returns the question has passed, for the word that nobody is there has come back. */
static void ask(uint16_t port)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    AUTO_FD fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char byte;

    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, "?", 1, 0), 1);
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNREFUSED);
}

/* Until the kernel has nothing more to say. */
static void hear(const struct scene *s)
{
    struct pollfd on = { .fd = sd_event_get_fd(s->event), .events = POLLIN };

    do
        assert_true(sd_event_run(s->event, 0) >= 0);
    while (poll(&on, 1, QUIET_MSEC) != 0);
}

static void is_told_once(struct scene *s, uint16_t port)
{
    unsigned before = s->told;

    asked_wait(s->asked, INDEX, on_told, s);
    hear(s);
    assert_int_equal(s->told, before);
    ask(port);
    while (s->told == before)
        assert_true(sd_event_run(s->event, PATIENCE_USEC) >= 0);
    for (int i = 0; i < 3; i++)
        ask(port);
    hear(s);
    assert_int_equal(s->told, before + 1);
}

static void a_question_is_told_once_until_one_waits_again(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s);
    assert_int_equal(asked_add_network(s.nft, INDEX, "lo"), 0);
    is_told_once(&s, 53);
    is_told_once(&s, 67);
    is_told_once(&s, 53);
    assert_int_equal(asked_remove_network(s.nft, INDEX, "lo"), 0);
    end(&s);
}

static void what_is_for_others_is_not_told(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s);
    assert_int_equal(asked_add_network(s.nft, INDEX, "lo"), 0);
    assert_int_equal(asked_add_network(s.nft, 4, "vb4"), 0);
    asked_wait(s.asked, 4, on_told, &s);
    ask(53);
    hear(&s);
    asked_forget(s.asked, 4);
    asked_wait(s.asked, INDEX, on_told, &s);
    ask(5353);
    hear(&s);
    assert_int_equal(s.told, 0);
    asked_forget(s.asked, INDEX);
    ask(53);
    hear(&s);
    assert_int_equal(s.told, 0);
    end(&s);
}

static void our_own_changes_wake_nobody(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s);
    assert_int_equal(asked_add_network(s.nft, INDEX, "lo"), 0);
    asked_wait(s.asked, INDEX, on_told, &s);
    hear(&s);
    assert_int_equal(nft_run(s.nft, "add table inet other\nadd chain inet other some\n"
                                    "delete table inet other\n"),
                     0);
    struct pollfd on = { .fd = sd_event_get_fd(s.event), .events = POLLIN };
    assert_int_equal(poll(&on, 1, QUIET_MSEC), 0);
    assert_int_equal(s.told, 0);
    end(&s);
}

/* So that it is asked for ever, rather than never. */
static void who_cannot_be_heard_of_is_told_at_once(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s);
    asked_wait(s.asked, INDEX, on_told, &s);
    hear(&s);
    assert_int_equal(s.told, 1);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_is_told_once_until_one_waits_again),
        cmocka_unit_test(what_is_for_others_is_not_told),
        cmocka_unit_test(our_own_changes_wake_nobody),
        cmocka_unit_test(who_cannot_be_heard_of_is_told_at_once),
    };

    return cmocka_run_group_tests_name("asked", tests, own_network, NULL);
}
