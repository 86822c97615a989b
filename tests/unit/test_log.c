/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include "log_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ALICE 1000
#define BOB   1001

static time_t now = 1000000;

/* Instead of the C library's. */
time_t time(time_t *ret)
{
    if (ret)
        *ret = now;
    return now;
}

/* What is logged while action() runs. */
static const char *log_of(void (*action)(void))
{
    static char text[1 << 20];
    int file = memfd_create("log", 0), before = dup(STDERR_FILENO);
    ssize_t n;

    assert_true(file >= 0 && before >= 0 && dup2(file, STDERR_FILENO) >= 0);
    action();
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    n = pread(file, text, sizeof text - 1, 0);
    assert_in_range(n, 0, sizeof text - 2);
    text[n] = '\0';
    close(file);
    close(before);
    return text;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    while ((text = strstr(text, what))) {
        text++;
        n++;
    }
    return n;
}

static void lines_of(uid_t uid, const char *who, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        log_user(uid, LOG_LEVEL_INFO, "%s says %u", who, i);
}

static void a_flood_and_an_honest_word(void)
{
    lines_of(ALICE, "alice", 10 * LOG_USER_LINES);
    lines_of(BOB, "bob", 3);
    log_info("the broker's own");
}

static void a_word(void)
{
    lines_of(ALICE, "alice", 1);
}

static void everybody(void)
{
    lines_of(LOG_EVERYBODY, "a network", 2 * LOG_USER_LINES);
}

static void a_users_flood_is_cut_short_and_others_are_heard(void **unused)
{
    const char *text = log_of(a_flood_and_an_honest_word);
    (void)unused;
    assert_int_equal(count(text, "alice says"), LOG_USER_LINES);
    assert_int_equal(count(text, "[uid 1000] more than 600 lines"), 1);
    assert_int_equal(count(text, "bob says"), 3);
    assert_int_equal(count(text, "the broker's own"), 1);
    now += 59;
    assert_string_equal(log_of(a_word), "");
    now += 1;
    assert_non_null(strstr(log_of(a_word), "alice says 0"));
    assert_int_equal(count(log_of(a_flood_and_an_honest_word), "alice says"), LOG_USER_LINES - 1);
}

static void a_clock_that_was_set_back_silences_nobody(void **unused)
{
    (void)unused;
    (void)log_of(a_flood_and_an_honest_word);
    now -= 86400;
    assert_non_null(strstr(log_of(a_word), "alice says 0"));
}

static void what_is_everybodys_is_bounded_too(void **unused)
{
    const char *text = log_of(everybody);
    (void)unused;
    assert_int_equal(count(text, "a network says"), LOG_USER_LINES);
    assert_int_equal(count(text, "about networks"), 1);
}

static off_t written(int file, size_t bytes)
{
    static char text[1 << 16];
    for (size_t n = 0; n < bytes; n += sizeof text)
        assert_int_equal(write(file, text, sizeof text), sizeof text);
    return lseek(file, 0, SEEK_END);
}

static off_t length_after_a_look(int file, void (*look)(void))
{
    int before = dup(STDERR_FILENO);
    assert_true(before >= 0 && dup2(file, STDERR_FILENO) >= 0);
    look();
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    return lseek(file, 0, SEEK_END);
}

static void a_log_file_of_ours_does_not_grow_for_ever(void **unused)
{
    int file = memfd_create("log", 0);
    (void)unused;
    assert_true(file >= 0 && fcntl(file, F_SETFL, O_APPEND) == 0);
    off_t full = written(file, LOG_FILE_MAX + 1);
    assert_int_equal(length_after_a_look(file, log_file_look), full); /* not ours */
    assert_in_range(length_after_a_look(file, log_file_begin), 1, 200);
    full = written(file, 1 << 16);
    assert_int_equal(length_after_a_look(file, log_file_look), full);
    (void)written(file, LOG_FILE_MAX);
    assert_in_range(length_after_a_look(file, log_file_look), 1, 200);
    close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_users_flood_is_cut_short_and_others_are_heard),
        cmocka_unit_test(a_clock_that_was_set_back_silences_nobody),
        cmocka_unit_test(what_is_everybodys_is_bounded_too),
        cmocka_unit_test(a_log_file_of_ours_does_not_grow_for_ever),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
