/* SPDX-License-Identifier: Apache-2.0 */
/* stopped.c - see stopped.h. The kernel tells nobody but a parent, which may be dead. */
#include "stopped.h"

#include "log.h"

#include <signal.h>
#include <time.h>

#define LOOK_USEC 1000000u /* what it served returns within two seconds; 20 µs a look */

static int on_look(sd_event_source *source, uint64_t usec, void *arg)
{
    const struct stopped *s = arg;
    const struct process process = { .pid = s->child->pid, .born = s->child->born };

    (void)usec;
    if (process_stopped(&process)) {
        log_warning("%s: process %d has been stopped; killing it", s->what, (int)process.pid);
        (void)child_signal(s->child, SIGKILL);
    }
    (void)sd_event_source_set_time_relative(source, LOOK_USEC);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

void stopped_watch(struct stopped *s, sd_event *event, const char *what, const struct child *child)
{
    int r;

    stopped_forget(s);
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
