/* SPDX-License-Identifier: Apache-2.0 */
/* supervise.c - see supervise.h. */
#include "supervise.h"

#include "clock.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#define SECOND        1000000u
#define PAUSE_FIRST   (SECOND / 10)
#define PAUSE_MAX     (5 * SECOND) /* somebody may wait for an address all the while */
#define LIVED_WELL    (2 * SECOND) /* after this long an end is not a failure to start */
#define STOP_PATIENCE 500          /* ms */
#define SOON          (3 * SECOND / 100)

void supervise_init(struct supervised *s, sd_event *event)
{
    s->event = event;
    s->death = s->again = NULL;
    s->child = (struct child){ .pidfd = -1 };
    s->stopped = (struct stopped){ 0 };
    s->failures = 0;
}

static void schedule(struct supervised *s);

static int on_again(sd_event_source *source, uint64_t usec, void *arg)
{
    struct supervised *s = arg;
    int r;

    (void)source;
    (void)usec;
    s->again = sd_event_source_unref(s->again);
    r = supervise_start(s);
    if (r < 0) {
        (void)log_failure(r, "%s: cannot start", s->what);
        s->failures++;
        schedule(s);
    }
    return 0;
}

static int start_after(struct supervised *s, uint64_t pause)
{
    return sd_event_add_time_relative(s->event, &s->again, CLOCK_MONOTONIC, pause, SECOND / 100,
                                      on_again, s);
}

int supervise_start_soon(struct supervised *s)
{
    return start_after(s, SOON);
}

/* The next start, after a pause that doubles. */
static void schedule(struct supervised *s)
{
    uint64_t pause = 0;
    int r;

    if (s->failures > 0)
        pause = s->failures > 9 ? PAUSE_MAX : PAUSE_FIRST << (s->failures - 1);
    if (pause > PAUSE_MAX)
        pause = PAUSE_MAX;
    r = start_after(s, pause);
    if (r < 0)
        (void)log_failure(r, "%s: stays down", s->what);
}

static int on_death(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct supervised *s = arg;

    (void)source;
    (void)fd;
    (void)events;
    s->death = sd_event_source_disable_unref(s->death);
    stopped_forget(&s->stopped);
    s->failures = monotonic_usec() - s->since > LIVED_WELL ? 0 : s->failures + 1;
    log_warning("%s: process %d has ended; starting it again", s->what, (int)s->child.pid);
    child_forget(&s->child);
    schedule(s);
    if (s->ended)
        s->ended(s->arg); /* last: it may stop and free us */
    return 0;
}

static int watch(struct supervised *s)
{
    s->since = monotonic_usec();
    return sd_event_add_io(s->event, &s->death, s->child.pidfd, POLLIN, on_death, s);
}

int supervise_start(struct supervised *s)
{
    int r;

    r = s->start(s->arg, &s->child);
    if (r < 0)
        return r;
    r = watch(s);
    if (r < 0)
        supervise_stop(s);
    return r;
}

int supervise_adopt(struct supervised *s, const struct child *child)
{
    s->child = *child;
    stopped_watch(&s->stopped, s->event, s->what, &s->child);
    return watch(s);
}

static void forget_sources(struct supervised *s)
{
    s->death = sd_event_source_disable_unref(s->death);
    s->again = sd_event_source_disable_unref(s->again);
    stopped_forget(&s->stopped);
}

void supervise_ask_to_end(struct supervised *s)
{
    forget_sources(s);
    (void)child_signal(&s->child, SIGTERM);
}

void supervise_stop(struct supervised *s)
{
    struct pollfd on = { .fd = s->child.pidfd, .events = POLLIN };

    supervise_ask_to_end(s);
    if (s->child.pid <= 0)
        return;
    if (poll(&on, 1, STOP_PATIENCE) == 0) {
        log_warning("%s: process %d does not end; killing it", s->what, (int)s->child.pid);
        (void)child_signal(&s->child, SIGKILL);
        (void)poll(&on, 1, STOP_PATIENCE);
    }
    child_forget(&s->child);
}

void supervise_leave(struct supervised *s)
{
    forget_sources(s);
    child_forget(&s->child);
}
