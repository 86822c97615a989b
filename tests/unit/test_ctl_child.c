/* SPDX-License-Identifier: Apache-2.0 */
/* A command that vmnet-brokerctl runs lives and dies as if it were run directly. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "child.h"
#include "mem.h"
#include "table.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs the script below us, and what vmnet-brokerctl would have exited with. on_child: what the
 * caller of that does about its children. */
static pid_t start_for(void (*on_child)(int), const char *script)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char sh[] = "/bin/sh", c[] = "-c", text[256];
        char *argv[] = { sh, c, text, NULL };
        (void)signal(SIGCHLD, on_child);
        snprintf(text, sizeof text, "%s", script);
        alarm(20);
        _exit(child_run(argv, NULL, NULL));
    }
    return pid;
}

static pid_t start(const char *script)
{
    return start_for(SIG_DFL, script);
}

static int end(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_exit_status_is_the_command_s(void **unused)
{
    (void)unused;
    assert_int_equal(end(start("exit 0")), 0);
    assert_int_equal(end(start("exit 42")), 42);
    assert_int_equal(end(start("kill -KILL $$")), 128 + SIGKILL);
    assert_int_equal(end(start("(until grep -q '^State:.T' /proc/$$/status; do sleep 0.02; done; "
                               "kill -CONT $$) & kill -STOP $$; exit 3")),
                     3);
}

static int run_program(const char *name)
{
    pid_t pid = fork();
    if (pid == 0) {
        char program[64];
        char *argv[] = { program, NULL };
        snprintf(program, sizeof program, "%s", name);
        (void)!freopen("/dev/null", "w", stderr);
        _exit(child_run(argv, NULL, NULL));
    }
    return end(pid);
}

static void a_command_that_is_not_there_or_no_program_has_the_shell_s_numbers(void **unused)
{
    (void)unused;
    assert_int_equal(run_program("/nonexistent"), 127);
    assert_int_equal(run_program("no-such-command-anywhere"), 127);
    assert_int_equal(run_program("/etc/passwd"), 126);
    assert_int_equal(run_program("/"), 126);
}

static void signals_reach_the_command(void **unused)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(signals); i++) {
        int ends[2];
        char ready, script[200];
        assert_int_equal(pipe(ends), 0);
        snprintf(script, sizeof script, "trap 'exit 9' %d; echo >&%d; while :; do sleep 0.05; done",
                 signals[i], ends[1]);
        pid_t pid = start(script);
        close(ends[1]);
        assert_int_equal(read(ends[0], &ready, 1), 1);
        close(ends[0]);
        assert_int_equal(kill(pid, signals[i]), 0);
        assert_int_equal(end(pid), 9);
    }
}

static void a_caller_that_ignores_its_children_does_not_make_us_wait_for_ever(void **unused)
{
    (void)unused;
    assert_int_equal(end(start_for(SIG_IGN, "exit 5")), 5);
}

static void tables_are_aligned_and_harmless(void **unused)
{
    (void)unused;
    AUTO_FREE char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct table *table = table_new("NAME SIZE> COMMAND");
    table_add(table, (const char *[]){ "a", "1", "sleep 5" });
    table_add(table, (const char *[]){ "b\303\244r", "1234", "\033[2Jboo" });
    table_add(table, (const char *[]){ "c", NULL, "" });
    table_print(table, out, " ");
    table_free(table);
    table_print(NULL, out, "");
    fclose(out);
    assert_string_equal(text, " NAME  SIZE  COMMAND\n"
                              " a        1  sleep 5\n"
                              " b\303\244r   1234  ?[2Jboo\n"
                              " c        -  -\n");
}

static void sizes_are_for_people(void **unused)
{
    (void)unused;
    char text[SIZE_TEXT];
    assert_string_equal(format_size(0, text), "0 B");
    assert_string_equal(format_size(1023, text), "1023 B");
    assert_string_equal(format_size(1536, text), "1.5 KiB");
    assert_string_equal(format_size(3.0 * (1ull << 50), text), "3.0 PiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exit_status_is_the_command_s),
        cmocka_unit_test(a_command_that_is_not_there_or_no_program_has_the_shell_s_numbers),
        cmocka_unit_test(signals_reach_the_command),
        cmocka_unit_test(a_caller_that_ignores_its_children_does_not_make_us_wait_for_ever),
        cmocka_unit_test(tables_are_aligned_and_harmless),
        cmocka_unit_test(sizes_are_for_people),
    };
    return cmocka_run_group_tests_name("ctl_child", tests, NULL, NULL);
}
