/* SPDX-License-Identifier: Apache-2.0 */
/* loop_sdevent.c - each timer is one sd-event time source, disabled while it is stopped. */
#include "loop_sdevent.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define ACCURACY_USEC 10000 /* so that timers set together wake the process once */

struct timer {
    sd_event_source *source;
    void (*fire)(void *arg);
    void *arg;
};

static uint64_t loop_now(void *self)
{
    uint64_t usec = 0;
    (void)sd_event_now(self, CLOCK_MONOTONIC, &usec); /* before the loop runs: the clock's own */
    return usec;
}

static int on_time(sd_event_source *source, uint64_t usec, void *arg)
{
    struct timer *timer = arg;
    (void)source;
    (void)usec;
    timer->fire(timer->arg); /* may free the timer */
    return 0;
}

static struct timer *loop_timer_new(void *self, void (*fire)(void *arg), void *arg)
{
    struct timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    timer->fire = fire;
    timer->arg = arg;
    if (sd_event_add_time(self, &timer->source, CLOCK_MONOTONIC, UINT64_MAX, ACCURACY_USEC, on_time,
                          timer) < 0 ||
        sd_event_source_set_enabled(timer->source, SD_EVENT_OFF) < 0) {
        sd_event_source_disable_unref(timer->source);
        free(timer);
        return NULL;
    }
    return timer;
}

static void loop_timer_start(struct timer *timer, uint64_t delay_usec)
{
    int r = sd_event_source_set_time_relative(timer->source, delay_usec);
    if (r == -EOVERFLOW) /* longer than time itself: never */
        r = sd_event_source_set_time(timer->source, UINT64_MAX);
    if (r >= 0)
        r = sd_event_source_set_enabled(timer->source, SD_EVENT_ONESHOT);
    if (r < 0 && r != -ESTALE) /* that: the loop has ended, and no timer fires any more */
        (void)log_failure(r, "cannot start a timer");
}

static void loop_timer_stop(struct timer *timer)
{
    (void)sd_event_source_set_enabled(timer->source, SD_EVENT_OFF);
}

static void loop_timer_free(struct timer *timer)
{
    if (!timer)
        return;
    sd_event_source_disable_unref(timer->source);
    free(timer);
}

static void loop_quit(void *self, int exit_code)
{
    (void)sd_event_exit(self, exit_code);
}

struct loop loop_sdevent(sd_event *event)
{
    static const struct loop_ops ops = {
        .now = loop_now,
        .timer_new = loop_timer_new,
        .timer_start = loop_timer_start,
        .timer_stop = loop_timer_stop,
        .timer_free = loop_timer_free,
        .quit = loop_quit,
    };
    return (struct loop){ &ops, event };
}
