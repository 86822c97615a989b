/* SPDX-License-Identifier: Apache-2.0 */
#include "loop_dispatch.h"

#include <dispatch/dispatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct timer {
    dispatch_source_t source;
    void (*fire)(void *arg);
    void *arg;
    bool armed;
};

static void (*leave_loop)(int exit_code);

static uint64_t loop_now(void *self)
{
    (void)self;
    return clock_gettime_nsec_np(CLOCK_UPTIME_RAW) / NSEC_PER_USEC;
}

static void on_timer(struct timer *t)
{
    if (!t->armed)
        return;
    t->armed = false;
    t->fire(t->arg);
}

static struct timer *loop_timer_new(void *self, void (*fire)(void *arg), void *arg)
{
    (void)self;
    struct timer *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->source = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, dispatch_get_main_queue());
    if (!t->source) {
        free(t);
        return NULL;
    }
    t->fire = fire;
    t->arg = arg;
    dispatch_source_set_event_handler(t->source, ^{
      on_timer(t);
    });
    dispatch_source_set_timer(t->source, DISPATCH_TIME_FOREVER, DISPATCH_TIME_FOREVER, 0);
    dispatch_activate(t->source);
    return t;
}

/* A tenth late is fine for everything we time, and lets the Mac sleep longer. */
static void loop_timer_start(struct timer *t, uint64_t delay_usec)
{
    uint64_t nsec = delay_usec * NSEC_PER_USEC;
    t->armed = true;
    dispatch_source_set_timer(t->source, dispatch_time(DISPATCH_TIME_NOW, (int64_t)nsec),
                              DISPATCH_TIME_FOREVER, nsec / 10);
}

static void loop_timer_stop(struct timer *t)
{
    t->armed = false;
    dispatch_source_set_timer(t->source, DISPATCH_TIME_FOREVER, DISPATCH_TIME_FOREVER, 0);
}

/* A source cancelled on its own serial queue runs no handler any more, so the struct that
 * the handler points to can go at once. */
static void loop_timer_free(struct timer *t)
{
    if (!t)
        return;
    dispatch_source_cancel(t->source);
    dispatch_release(t->source);
    free(t);
}

static void loop_quit(void *self, int exit_code)
{
    (void)self;
    dispatch_async(dispatch_get_main_queue(), ^{
      leave_loop(exit_code);
    });
}

struct loop loop_dispatch(void (*leave)(int exit_code))
{
    static const struct loop_ops ops = { loop_now,        loop_timer_new,  loop_timer_start,
                                         loop_timer_stop, loop_timer_free, loop_quit };
    leave_loop = leave;
    return (struct loop){ &ops, NULL };
}
