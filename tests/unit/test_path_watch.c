/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a file vanish from its path, and that nothing else wakes who watches it. Mounts are
 * tests/system/idle.bats's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "path_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_USEC 10000000u /* far more than an event takes, far less than for ever */
#define QUIET_MSEC    100

/* below/run is a directory, below/link leads to it; the file is run/here/socket. */
struct scene {
    char top[32];
    sd_event *event;
    struct path_watch *watch;
    char path[128];
    int file; /* open, as a bound socket is: its inode stays */
    unsigned gone;
    int refusals; /* so often it cannot be made anew */
};

static const char *at(const struct scene *s, const char *name)
{
    static char path[2][128];
    static unsigned i;

    i ^= 1;
    assert_true(snprintf(path[i], sizeof path[i], "%s/%s", s->top, name) > 0);
    return path[i];
}

static int make_file(struct scene *s)
{
    (void)mkdir(at(s, "below/run"), 0700);
    (void)mkdir(at(s, "below/run/here"), 0700);
    if (s->file >= 0)
        (void)close(s->file);
    s->file = open(s->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    return s->file < 0 ? -errno : 0;
}

static int on_gone(void *arg)
{
    struct scene *s = arg;

    s->gone++;
    if (s->refusals > 0 && s->refusals--)
        return -EROFS;
    return make_file(s);
}

/* Does the kernel leave it alone? */
static bool sleeps(const struct scene *s)
{
    struct pollfd on = { .fd = sd_event_get_fd(s->event), .events = POLLIN };

    return poll(&on, 1, QUIET_MSEC) == 0;
}

static void settle(const struct scene *s)
{
    do
        assert_true(sd_event_run(s->event, 0) >= 0);
    while (!sleeps(s));
}

/* Until so many are counted; not for ever, for the tests' own time is limited. */
static void wait_until_gone(const struct scene *s, unsigned times)
{
    while (s->gone < times)
        assert_true(sd_event_run(s->event, PATIENCE_USEC) >= 0);
}

static void begin(struct scene *s, const char *name)
{
    *s = (struct scene){ .top = "/tmp/path-watch.XXXXXX", .file = -1 };
    assert_non_null(mkdtemp(s->top));
    assert_int_equal(mkdir(at(s, "below"), 0700), 0);
    assert_int_equal(symlink("run", at(s, "below/link")), 0);
    assert_true(snprintf(s->path, sizeof s->path, "%s", at(s, name)) > 0);
    assert_int_equal(make_file(s), 0);
    assert_true(sd_event_new(&s->event) >= 0);
    assert_int_equal(path_watch_new(s->event, s->path, on_gone, s, &s->watch), 0);
    settle(s);
    assert_int_equal(s->gone, 0);
}

static void end(struct scene *s)
{
    char command[64];

    path_watch_free(s->watch);
    sd_event_unref(s->event);
    (void)close(s->file);
    assert_true(snprintf(command, sizeof command, "rm -rf %s", s->top) > 0);
    assert_int_equal(system(command), 0);
}

static void is_noticed(struct scene *s)
{
    unsigned before = s->gone;

    wait_until_gone(s, before + 1);
    assert_int_equal(access(s->path, F_OK), 0);
    settle(s);
    assert_int_equal(s->gone, before + 1);
}

/* One after the other: what was made anew is watched, too. */
static void whatever_takes_the_file_away_is_noticed(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s, "below/run/here/socket");
    assert_int_equal(rename(s.path, at(&s, "elsewhere")), 0);
    is_noticed(&s);
    assert_int_equal(rename(at(&s, "below/run/here"), at(&s, "away")), 0);
    is_noticed(&s);
    assert_int_equal(rename(at(&s, "below/run"), at(&s, "far away")), 0);
    is_noticed(&s);
    assert_int_equal(unlink(s.path) | rmdir(at(&s, "below/run/here")), 0);
    assert_int_equal(rmdir(at(&s, "below/run")), 0);
    is_noticed(&s);
    assert_int_equal(unlink(s.path), 0);
    is_noticed(&s);
    end(&s);
}

static void what_a_link_leads_to_is_watched_and_the_link_too(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s, "below/link/here/socket");
    assert_int_equal(rename(at(&s, "below/run"), at(&s, "away")), 0);
    is_noticed(&s);
    assert_int_equal(mkdir(at(&s, "below/other"), 0700), 0);
    assert_int_equal(mkdir(at(&s, "below/other/here"), 0700), 0);
    assert_int_equal(unlink(at(&s, "below/link")), 0);
    assert_int_equal(symlink("other", at(&s, "below/link")), 0);
    is_noticed(&s);
    end(&s);
}

static void what_cannot_be_made_anew_is_tried_again(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s, "below/run/here/socket");
    s.refusals = 1;
    assert_int_equal(unlink(s.path), 0);
    wait_until_gone(&s, 2);
    assert_int_equal(access(s.path, F_OK), 0);
    path_watch_lost(s.watch);
    wait_until_gone(&s, 3);
    end(&s);
}

/* Comes and goes, and is renamed. */
static void another_file_does(const struct scene *s, const char *name)
{
    int fd = open(at(s, name), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    assert_true(fd >= 0 && write(fd, "x", 1) == 1);
    (void)close(fd);
    assert_int_equal(rename(at(s, name), at(s, "another")), 0);
    assert_int_equal(unlink(at(s, "another")), 0);
}

/* This machine's mounts do, and may change meanwhile. */
static void other_files_wake_nobody(void **unused)
{
    static const char *const names[] = { "below/run/here/another", "below/run/another", "below/x" };
    struct scene s;

    (void)unused;
    begin(&s, "below/run/here/socket");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int tries = 20;

        do {
            settle(&s);
            another_file_does(&s, names[i]);
        } while (!sleeps(&s) && tries-- > 0);
        assert_true(tries > 0);
    }
    assert_int_equal(s.gone, 0);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_takes_the_file_away_is_noticed),
        cmocka_unit_test(what_a_link_leads_to_is_watched_and_the_link_too),
        cmocka_unit_test(what_cannot_be_made_anew_is_tried_again),
        cmocka_unit_test(other_files_wake_nobody),
    };

    return cmocka_run_group_tests_name("path_watch", tests, NULL, NULL);
}
