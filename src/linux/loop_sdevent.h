/* SPDX-License-Identifier: Apache-2.0 */
/* loop_sdevent.h - ports/loop.h on sd-event. */
#pragma once
#include "loop.h"

#include <systemd/sd-event.h>

/* event: borrowed, must outlive the loop and its timers. Nothing to free. */
struct loop loop_sdevent(sd_event *event);

/* The clock itself; a loop's now() is the time at which its turn began. */
uint64_t monotonic_usec(void);

/* For poll(2): how long until then, rounded up. */
int msec_until(uint64_t deadline_usec);
