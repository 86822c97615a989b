/* SPDX-License-Identifier: Apache-2.0 */
/* What netd makes of the kernel's news of links that go. link_news.c is included, and its
 * recv() is a story told below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>

static ssize_t told_recv(int fd, void *buf, size_t size, int flags);
#define recv told_recv
#include "link_news.c"
#undef recv

#include "mem.h"

/* What one call of recv() gives: a message about this link, or an error. */
struct news {
    int end, come, left_bridge, err;
};

static const struct story {
    const char *title;
    struct news news[6]; /* and then EAGAIN, for ever */
    unsigned read;       /* how many of them one call reads */
    int result;
    int gone[6];
} stories[] = {
    { "there is nothing to hear", { { 0 } }, 0, 0, { 0 } },
    { "one link has gone", { { .end = 7 }, { .end = 8 } }, 1, 0, { 7 } },
    { "a link has come", { { .come = 7 } }, 1, 0, { 0 } },
    { "a port has left its bridge and lives on", { { .left_bridge = 7 } }, 1, 0, { 0 } },
    { "after a loss all is read before it is told",
      { { .err = ENOBUFS }, { .end = 7 }, { .end = 8 }, { .end = 9 } },
      4,
      -ENOBUFS,
      { 7, 8, 9 } },
    { "a second loss meanwhile is the same one",
      { { .err = ENOBUFS }, { .end = 7 }, { .err = ENOBUFS }, { .end = 8 } },
      4,
      -ENOBUFS,
      { 7, 8 } },
};

static struct {
    const struct story *story;
    unsigned read;
    int gone[6];
    size_t n_gone;
} world;

struct message {
    struct nlmsghdr head;
    struct ifinfomsg info;
};

static struct message message_of(const struct news *news)
{
    return (struct message){
        .head = { .nlmsg_len = sizeof(struct message),
                  .nlmsg_type = news->come ? RTM_NEWLINK : RTM_DELLINK },
        .info = { .ifi_family = news->left_bridge ? AF_BRIDGE : AF_UNSPEC,
                  .ifi_index = news->end + news->come + news->left_bridge },
    };
}

static ssize_t told_recv(int fd, void *buf, size_t size, int flags)
{
    const struct news *news = &world.story->news[world.read];
    struct message message = message_of(news);

    (void)fd;
    (void)flags;
    assert_true(size >= sizeof message);
    errno = message.info.ifi_index ? 0 : news->err ? news->err : EAGAIN;
    world.read += errno != EAGAIN;
    if (errno)
        return -1;
    memcpy(buf, &message, sizeof message);
    return sizeof message;
}

static void on_gone(void *arg, int ifindex)
{
    (void)arg;
    assert_in_range(world.n_gone, 0, N_ELEMENTS(world.gone) - 1);
    world.gone[world.n_gone++] = ifindex;
}

static void the_monitor_tells_of_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ELEMENTS(stories); i++) {
        world.story = &stories[i];
        world.read = 0;
        world.n_gone = 0;
        memset(world.gone, 0, sizeof world.gone);
        print_message("  %s\n", stories[i].title);
        assert_int_equal(link_monitor_read(-1, on_gone, NULL), stories[i].result);
        assert_int_equal(world.read, stories[i].read);
        assert_memory_equal(world.gone, stories[i].gone, sizeof world.gone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_monitor_tells_of_ends) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
