/* SPDX-License-Identifier: Apache-2.0 */
/* Which server is killed for its silence, and which is left alone. The server is a child that
 * holds a socket on the loopback. Before it is looked at, one that lives is given the time to show
 * it, be this machine ever so busy with others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fd.h"
#include "mem.h"
#include "process.h"
#include "pulse.h"

#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVERY_USEC  20000u
#define REST_USEC   (10 * EVERY_USEC)
#define ROUNDS      12   /* more than a hang would need to be noticed */
#define ROUNDS_LONG 1000 /* ends with the process, which may take its time to die */

enum manner { ANSWERS, IS_BUSY, SLEEPS, IS_STOPPED };

static const char question[] = "\0\0\0\0\0\1\0\0\0\0\0\0\7gateway\6shared\0\0\1\0\1";

/* told: gets a byte for each answer. */
static _Noreturn void serve(int sock, enum manner manner, int told)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        char bytes[512];

        if (manner == SLEEPS || manner == IS_STOPPED)
            pause();
        if (manner == IS_BUSY)
            continue;
        if (recvfrom(sock, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len) !=
                sizeof question - 1 ||
            memcmp(bytes, question, sizeof question - 1) != 0)
            _exit(1);
        (void)sendto(sock, bytes, 12, 0, (struct sockaddr *)&from, len);
        (void)!write(told, "", 1);
    }
}

static int open_server(struct sockaddr_in *ret)
{
    socklen_t len = sizeof *ret;
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_true(sock >= 0);
    assert_int_equal(bind(sock, (struct sockaddr *)ret, len), 0);
    assert_int_equal(getsockname(sock, (struct sockaddr *)ret, &len), 0);
    return sock;
}

static bool is_dead(const struct child *child)
{
    siginfo_t info = { 0 };

    assert_int_equal(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    return info.si_pid == child->pid;
}

static uint64_t ticks_of(pid_t pid)
{
    uint64_t ticks = 0;

    assert_int_equal(process_ticks(pid, &ticks), 0);
    return ticks;
}

/* Since it was looked at last, or asked. */
static void await_life(enum manner manner, const struct child *child, int told)
{
    uint64_t before = manner == IS_BUSY ? ticks_of(child->pid) : 0;
    char byte;

    if (manner == ANSWERS)
        assert_int_equal(read(told, &byte, 1), 1);
    while (manner == IS_BUSY && !is_dead(child) && ticks_of(child->pid) == before)
        (void)usleep(1000);
}

struct rests {
    unsigned times;
};

static void on_rest(void *arg)
{
    struct rests *rests = arg;

    rests->times++;
}

/* rests: NULL: it never does. Otherwise it is woken once. */
static bool is_killed(enum manner manner, struct rests *rests)
{
    struct child child = { .pidfd = -1 };
    struct pulse_setup setup = { .what = "test", .child = &child, .name = "gateway.shared" };
    const int rounds = manner == ANSWERS || manner == IS_BUSY ? ROUNDS : ROUNDS_LONG;
    struct pulse *pulse;
    uint64_t born;
    AUTO_FD sock = open_server(&setup.server);
    int told[2];
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    bool dead;

    if (pid == 0)
        serve(sock, manner, told[1]);
    (void)close(told[1]);
    assert_int_equal(process_born(pid, &born), 0);
    assert_int_equal(child_adopt(pid, born, &child), 0);
    if (manner == IS_STOPPED)
        assert_int_equal(kill(pid, SIGSTOP), 0);
    setup.every_usec = EVERY_USEC;
    setup.rest = rests ? on_rest : NULL;
    setup.arg = rests;
    assert_true(sd_event_new(&setup.event) >= 0);
    assert_int_equal(pulse_new(&setup, &pulse), 0);
    if (rests) {
        assert_int_equal(rests->times, 1);
        assert_int_equal(sd_event_run(setup.event, REST_USEC), 0);
        pulse_wake(pulse);
    }
    for (int i = 0; i < rounds && !is_dead(&child) && (!rests || rests->times < 2); i++) {
        if (i > 0 || rests) /* else nobody has asked it yet */
            await_life(manner, &child, told[0]);
        assert_true(sd_event_run(setup.event, UINT64_MAX) >= 0);
    }
    dead = is_dead(&child);
    pulse_free(pulse);
    sd_event_unref(setup.event);
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    child_forget(&child);
    (void)close(told[0]);
    return dead;
}

static void who_answers_lives(void **unused)
{
    (void)unused;
    assert_false(is_killed(ANSWERS, NULL));
}

static void who_is_busy_lives(void **unused)
{
    (void)unused;
    assert_false(is_killed(IS_BUSY, NULL));
}

static void who_hangs_is_killed(void **unused)
{
    (void)unused;
    assert_true(is_killed(SLEEPS, NULL));
    assert_true(is_killed(IS_STOPPED, NULL));
}

static void who_is_asked_for_nothing_is_left_alone_and_then_until_it_answers(void **unused)
{
    struct rests rests = { 0 };

    (void)unused;
    assert_false(is_killed(ANSWERS, &rests));
    assert_int_equal(rests.times, 2);
}

static void who_hangs_when_it_is_needed_is_killed(void **unused)
{
    struct rests rests = { 0 };

    (void)unused;
    assert_true(is_killed(SLEEPS, &rests));
    assert_int_equal(rests.times, 1);
}

static void a_name_that_is_none_is_refused(void **unused)
{
    static const char label64[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    const char *const names[] = { "a..b", ".", label64 };
    struct pulse_setup setup = { .what = "test", .every_usec = EVERY_USEC };
    struct pulse *pulse;

    (void)unused;
    assert_true(sd_event_new(&setup.event) >= 0);
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        setup.name = names[i];
        assert_true(pulse_new(&setup, &pulse) < 0);
    }
    sd_event_unref(setup.event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_answers_lives),
        cmocka_unit_test(who_is_busy_lives),
        cmocka_unit_test(who_hangs_is_killed),
        cmocka_unit_test(who_is_asked_for_nothing_is_left_alone_and_then_until_it_answers),
        cmocka_unit_test(who_hangs_when_it_is_needed_is_killed),
        cmocka_unit_test(a_name_that_is_none_is_refused),
    };

    return cmocka_run_group_tests_name("pulse", tests, NULL, NULL);
}
