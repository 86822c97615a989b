/* SPDX-License-Identifier: Apache-2.0 */
/* stopped.h - a process of ours that somebody has stopped (SIGSTOP).
 *
 * It has not ended, so nobody who waits for its end would notice; and it serves nobody. It is
 * killed, and whoever waits for that starts another. What it would have done may be done late by
 * one that goes on, but never by two. A process that hangs in another way is noticed only where
 * somebody asks it (pulse.h).
 */
#pragma once
#include "spawner.h"

#include <systemd/sd-event.h>

struct stopped {
    sd_event_source *look; /* NULL: nobody is watched */
    const char *what;
    const struct child *child;
};

/* Looks at it now and then. what, for the log, and child are borrowed. */
void stopped_watch(struct stopped *s, sd_event *event, const char *what, const struct child *child);
/* No more. Harmless when nobody is watched. */
void stopped_forget(struct stopped *s);
