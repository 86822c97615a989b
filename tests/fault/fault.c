/* SPDX-License-Identifier: Apache-2.0 */
/* fault.c - the rounds, and what is watched in them; see fault.h. */
#include "fault.h"

#include "fault_memory.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUNDS_MAX 5000 /* far more than any story has calls */
#define FRAMES     16

static struct {
    bool armed, running;
    unsigned paused;
    unsigned calls, target; /* target 0: none */
    const char *failed;     /* the call; NULL: none yet */
    void *from[FRAMES];
    int n_from;
    unsigned part, parts; /* of the rounds */
} fault = { .parts = 1 };

void fault_begin(void)
{
    fault.armed = true;
}

bool fault_end(void)
{
    fault.armed = false;
    return fault_happened();
}

bool fault_happened(void)
{
    return fault.failed != NULL;
}

void fault_pause(void)
{
    fault.paused++;
}

void fault_resume(void)
{
    fault.paused--;
}

bool fault_now(const char *call, int err)
{
    if (!fault.armed || fault.paused > 0 || ++fault.calls != fault.target)
        return false;
    fault.failed = call;
    fault_pause();
    fault.n_from = backtrace(fault.from, FRAMES);
    fault_resume();
    errno = err;
    return true;
}

void __wrap_log_line(enum log_level level, const char *fmt, ...);
int __wrap_log_failure(int err, const char *fmt, ...);

/* Hundreds of failures would be logged; that they can be is seen elsewhere. */
void __wrap_log_line(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

int __wrap_log_failure(int err, const char *fmt, ...)
{
    (void)fmt;
    return err;
}

static unsigned open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

static void run_round(void (*story)(void), unsigned target)
{
    unsigned fds = open_fds(), blocks = fault_memory_blocks();

    fault.target = target;
    fault.calls = fault.paused = 0;
    fault.failed = NULL;
    fault.running = true;
    story();
    assert_false(fault.armed);
    assert_int_equal(fault.paused, 0);
    if (target > 0 && fault_memory_blocks() != blocks)
        fault_memory_show();
    if (target > 0) { /* not in the first one, in which things are made that stay */
        assert_int_equal(fault_memory_blocks(), blocks);
        assert_int_equal(open_fds(), fds);
    }
    fault.running = false;
}

void fault_share(unsigned part, unsigned parts)
{
    fault.part = part;
    fault.parts = parts;
}

void fault_each(void (*story)(void), unsigned at_least)
{
    unsigned target = fault.part + 1, n = 0;

    run_round(story, 0);
    for (;; target += fault.parts, n++) {
        assert_true(target < ROUNDS_MAX);
        fault_memory_forget();
        run_round(story, target);
        if (!fault.failed)
            break;
    }
    print_message("             %u calls were made to fail\n", n);
    assert_true(target > at_least);
}

int fault_report(void **unused)
{
    (void)unused;
    fault.armed = false;
    if (!fault.running)
        return 0;
    fault.running = false;
    print_message("             when call %u failed: %s\n", fault.target,
                  fault.failed ? fault.failed : "(none has)");
    if (fault.failed)
        backtrace_symbols_fd(fault.from, fault.n_from, STDERR_FILENO);
    return 0;
}
