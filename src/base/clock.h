/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - how long something takes, or may take.
 *
 * The clock itself; a loop's now() is the time at which its turn began. It stands still while the
 * machine sleeps, as sd-event's timers of CLOCK_MONOTONIC do, and is never set back.
 */
#pragma once
#include <stdint.h>
#include <time.h>

static inline uint64_t monotonic_usec(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* For poll(2): how long until then, rounded up. */
static inline int msec_until(uint64_t deadline_usec)
{
    uint64_t now = monotonic_usec();

    return now >= deadline_usec ? 0 : (int)((deadline_usec - now) / 1000) + 1;
}
