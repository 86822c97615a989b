/* SPDX-License-Identifier: Apache-2.0 */
/* stopped.c - see stopped.h. */
#include "stopped.h"

#include "log.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

#define LOOK_USEC 5000000u /* 20 µs each, and a wake-up */

static void end(const char *what, const struct child *child)
{
    log_warning("%s: process %d has been stopped; killing it", what, (int)child->pid);
    (void)child_signal(child, SIGKILL);
}

/* *ret_stopped: since it was last asked. false: it is not our child, or has ended. */
static bool is_own(const struct child *child, int options, bool *ret_stopped)
{
    siginfo_t info = { 0 };

    if (child->pid <= 0 || waitid(P_PID, (id_t)child->pid, &info, WSTOPPED | WNOHANG | options) < 0)
        return false;
    *ret_stopped = info.si_pid == child->pid;
    return true;
}

void stopped_look(const char *what, const struct child *child)
{
    bool stopped = false;

    if (is_own(child, 0, &stopped) && stopped)
        end(what, child);
}

static int on_look(sd_event_source *source, uint64_t usec, void *arg)
{
    const struct stopped *s = arg;
    const struct process process = { .pid = s->child->pid, .born = s->child->born };

    (void)usec;
    if (process_stopped(&process))
        end(s->what, s->child);
    (void)sd_event_source_set_time_relative(source, LOOK_USEC);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

void stopped_watch(struct stopped *s, sd_event *event, const char *what, const struct child *child)
{
    bool ignored;
    int r;

    stopped_forget(s);
    if (is_own(child, WNOWAIT, &ignored))
        return;
    s->what = what;
    s->child = child;
    r = sd_event_add_time_relative(event, &s->look, CLOCK_MONOTONIC, LOOK_USEC, LOOK_USEC / 4,
                                   on_look, s);
    if (r < 0)
        (void)log_failure(r, "%s: nobody will notice if it is stopped", what);
}

void stopped_forget(struct stopped *s)
{
    s->look = sd_event_source_disable_unref(s->look);
}
