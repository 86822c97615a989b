/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people: in a pipe whole, on a terminal as wide as that. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "mem.h"
#include "table.h"

#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct table *of_networks(void)
{
    struct table *table = table_new("NETWORK MODE CLIENTS> IPV6-PREFIX UPLINK");
    assert_non_null(table);
    table_add(table, (const char *const[]){ "a-long-name-of-mine", "shared", "1234567",
                                            "fd12:3456:789a:1::/64", "ok" });
    table_add(table, (const char *const[]){ "lab", "host", "2", "", "m\xc3\xbc\x1b[31mde" });
    return table;
}

static const char whole[] =
    "NETWORK              MODE    CLIENTS  IPV6-PREFIX            UPLINK\n"
    "a-long-name-of-mine  shared  1234567  fd12:3456:789a:1::/64  ok\n"
    "lab                  host          2  -                      m\xc3\xbc?[31mde\n";

/* What a terminal of this width gets; 0: it does not say. */
static char *on_terminal(unsigned short columns, const char *indent)
{
    static char got[4096];
    struct winsize size = { .ws_row = 24, .ws_col = columns };
    struct table *table = of_networks();
    int master, slave;
    size_t len = 0;

    assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
    FILE *out = fdopen(slave, "w");
    assert_non_null(out);
    table_print(table, out, indent);
    assert_int_equal(fclose(out), 0);
    table_free(table);
    while (len < sizeof got - 1 && read(master, got + len, 1) == 1)
        len += got[len] != '\r'; /* the terminal's */
    got[len] = '\0';
    (void)close(master);
    return got;
}

static void in_a_pipe_nothing_is_cut(void **unused)
{
    struct table *table = of_networks();
    AUTO_FREE char *got = NULL;
    size_t len;
    (void)unused;
    FILE *out = open_memstream(&got, &len);
    assert_non_null(out);
    assert_int_equal(setenv("COLUMNS", "20", 1), 0); /* is about terminals */
    table_print(table, out, "");
    assert_int_equal(unsetenv("COLUMNS"), 0);
    assert_int_equal(fclose(out), 0);
    table_free(table);
    assert_string_equal(got, whole);
}

static void where_there_is_room_nothing_is_cut(void **unused)
{
    (void)unused;
    assert_string_equal(on_terminal(200, ""), whole);
    assert_string_equal(on_terminal(0, ""), whole);
    assert_string_equal(on_terminal(70, ""), whole);
}

static size_t longest_line(const char *text)
{
    size_t most = 0, now = 0;
    for (; *text; text++) {
        now = *text == '\n' ? 0 : now + ((*text & 0xc0) != 0x80);
        most = now > most ? now : most;
    }
    return most;
}

static void the_widest_columns_are_cut_until_a_row_fits(void **unused)
{
    (void)unused;
    assert_string_equal(on_terminal(60, ""),
                        "NETWORK          MODE    CLIENTS  IPV6-PREFIX      UPLINK\n"
                        "a-long-name-of+  shared  1234567  fd12:3456:789a+  ok\n"
                        "lab              host          2  -                m\xc3\xbc?[31mde\n");
    for (unsigned short columns = 41; columns < 70; columns++)
        assert_true(longest_line(on_terminal(columns, "  ")) <= columns);
}

static void numbers_are_never_cut(void **unused)
{
    (void)unused;
    for (unsigned short columns = 1; columns < 70; columns++)
        assert_non_null(strstr(on_terminal(columns, ""), "  1234567  "));
}

static void what_the_environment_says_counts_more(void **unused)
{
    (void)unused;
    assert_int_equal(setenv("COLUMNS", "50", 1), 0);
    assert_true(longest_line(on_terminal(200, "")) <= 50);
    assert_int_equal(setenv("COLUMNS", "nonsense", 1), 0);
    assert_string_equal(on_terminal(200, ""), whole);
    assert_int_equal(unsetenv("COLUMNS"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_pipe_nothing_is_cut),
        cmocka_unit_test(where_there_is_room_nothing_is_cut),
        cmocka_unit_test(the_widest_columns_are_cut_until_a_row_fits),
        cmocka_unit_test(numbers_are_never_cut),
        cmocka_unit_test(what_the_environment_says_counts_more),
    };
    (void)unsetenv("COLUMNS");
    return cmocka_run_group_tests_name("ctl_table", tests, NULL, NULL);
}
