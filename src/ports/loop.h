/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h - what the core asks of the event loop: a clock, timers, and "soon".
 *
 * Implemented by linux/loop_sdevent.c, macos/loop_dispatch.c, and by
 * tests/fakes/fake_loop.c with a clock that a test turns by hand. Everything
 * happens on one thread. Times are microseconds of a monotonic clock.
 */
#pragma once
#include <stdint.h>

#ifndef USEC_PER_SEC /* <dispatch/dispatch.h> has the same */
#define USEC_PER_SEC UINT64_C(1000000)
#endif

struct timer; /* made by timer_new(), ended by timer_free() */

struct loop_ops {
    uint64_t (*now)(void *self);

    /* A stopped one-shot timer; NULL when memory is short. */
    struct timer *(*timer_new)(void *self, void (*fire)(void *arg), void *arg);
    void (*timer_start)(struct timer *timer, uint64_t delay_usec); /* restarts a running one */
    void (*timer_stop)(struct timer *timer);                       /* a stopped one: nothing */
    void (*timer_free)(struct timer *timer);                       /* NULL is fine */

    /* Leave the loop after the current event. */
    void (*quit)(void *self, int exit_code);
};

struct loop {
    const struct loop_ops *ops;
    void *self;
};
