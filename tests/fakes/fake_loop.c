/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_loop.h"

#include <stdlib.h>

struct timer {
    TAILQ_ENTRY(timer) link;
    struct fake_loop *fake;
    void (*fire)(void *arg);
    void *arg;
    bool running;
    uint64_t due;
};

static uint64_t loop_now(void *self)
{
    return ((struct fake_loop *)self)->now;
}

static struct timer *loop_timer_new(void *self, void (*fire)(void *arg), void *arg)
{
    struct fake_loop *fake = self;
    struct timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    timer->fake = fake;
    timer->fire = fire;
    timer->arg = arg;
    TAILQ_INSERT_TAIL(&fake->timers, timer, link);
    return timer;
}

static void loop_timer_start(struct timer *timer, uint64_t delay_usec)
{
    timer->due = timer->fake->now + delay_usec;
    timer->running = true;
}

static void loop_timer_stop(struct timer *timer)
{
    timer->running = false;
}

static void loop_timer_free(struct timer *timer)
{
    if (!timer)
        return;
    TAILQ_REMOVE(&timer->fake->timers, timer, link);
    free(timer);
}

static void loop_quit(void *self, int exit_code)
{
    struct fake_loop *fake = self;
    fake->quit = true;
    fake->exit_code = exit_code;
}

static const struct loop_ops ops = {
    .now = loop_now,
    .timer_new = loop_timer_new,
    .timer_start = loop_timer_start,
    .timer_stop = loop_timer_stop,
    .timer_free = loop_timer_free,
    .quit = loop_quit,
};

void fake_loop_init(struct fake_loop *fake)
{
    *fake = (struct fake_loop){ .loop = { &ops, fake }, .now = 1000 * USEC_PER_SEC };
    TAILQ_INIT(&fake->timers);
}

static struct timer *next_due(const struct fake_loop *fake, uint64_t until)
{
    struct timer *timer, *first = NULL;
    TAILQ_FOREACH (timer, &fake->timers, link)
        if (timer->running && timer->due <= until && (!first || timer->due < first->due))
            first = timer;
    return first;
}

void fake_loop_advance(struct fake_loop *fake, uint64_t usec)
{
    uint64_t until = fake->now + usec;
    struct timer *timer;
    while ((timer = next_due(fake, until))) {
        fake->now = timer->due;
        timer->running = false;
        timer->fire(timer->arg); /* may free it, or start others */
    }
    fake->now = until;
}

unsigned fake_loop_timers(const struct fake_loop *fake)
{
    const struct timer *timer;
    unsigned n = 0;
    TAILQ_FOREACH (timer, &fake->timers, link)
        n++;
    return n;
}

unsigned fake_loop_running(const struct fake_loop *fake)
{
    const struct timer *timer;
    unsigned n = 0;
    TAILQ_FOREACH (timer, &fake->timers, link)
        n += timer->running;
    return n;
}
