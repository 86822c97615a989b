/* SPDX-License-Identifier: Apache-2.0 */
/* fake_loop.h - a loop whose clock a test turns by hand.
 *
 * No real time passes: fake_loop_advance() moves the clock from one due timer to
 * the next and fires it, as often as a timer comes due on the way.
 */
#pragma once
#include "loop.h"

#include <stdbool.h>
#include <sys/queue.h>

struct fake_loop {
    struct loop loop; /* what the core gets */
    uint64_t now;
    TAILQ_HEAD(, timer) timers;
    bool quit;
    int exit_code;
};

void fake_loop_init(struct fake_loop *fake);
void fake_loop_advance(struct fake_loop *fake, uint64_t usec);
/* Timers that were made and not freed, and those of them that run. */
unsigned fake_loop_timers(const struct fake_loop *fake);
unsigned fake_loop_running(const struct fake_loop *fake);
