/* SPDX-License-Identifier: Apache-2.0 */
/* stopped.h - a process of ours that somebody has stopped (SIGSTOP).
 *
 * It has not ended, so nobody who waits for its end would notice; and it serves nobody. It is
 * killed, and whoever waits for that starts another. What it would have done may be done late by
 * one that goes on, but never by two. A process that hangs in another way is noticed only where
 * somebody asks it (pulse.h).
 *
 * The kernel tells the parent: the spawner of what it has started (workshop.c), and us of our own
 * children (keep.c). Of those that an earlier netd left it tells nobody any more: only these are
 * looked at, now and then.
 */
#pragma once
#include "spawner.h"

#include <systemd/sd-event.h>

struct stopped {
    sd_event_source *look; /* NULL: nobody is watched */
    const char *what;
    const struct child *child;
};

/* It is our own child, and has been stopped: it is killed. what: for the log. */
void stopped_look(const char *what, const struct child *child);

/* Looks now and then at one that an earlier netd left; if it is our own, nothing is done. what,
 * for the log, and child are borrowed. */
void stopped_watch(struct stopped *s, sd_event *event, const char *what, const struct child *child);
/* No more. Harmless when nobody is watched. */
void stopped_forget(struct stopped *s);
