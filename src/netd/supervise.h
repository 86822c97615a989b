/* SPDX-License-Identifier: Apache-2.0 */
/* supervise.h - a child that is to run until it is stopped.
 *
 * Watched through its pidfd; when it ends unasked it is started again, at once the
 * first time and after growing pauses when it keeps ending. One that was stopped is killed.
 */
#pragma once
#include "stopped.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct supervised {
    const char *what; /* for the log: "network 'shared': dnsmasq" */
    /* Starts it: 0 with *ret filled in, or a negative errno. */
    int (*start)(void *arg, struct child *ret);
    /* It has ended unasked; told before it is started again. NULL: nobody cares. */
    void (*ended)(void *arg);
    void *arg;

    /* The rest is supervise.c's own. */
    sd_event *event;
    sd_event_source *death, *again;
    struct child child;
    struct stopped stopped;
    unsigned failures;
    uint64_t since; /* when it was started, monotonic microseconds */
};

/* Fills in the parts of its own; the caller has set the others. */
void supervise_init(struct supervised *s, sd_event *event);
/* Returns the first start's error, and then does not try again. */
int supervise_start(struct supervised *s);
/* Starts it in a moment, and goes on trying. */
int supervise_start_soon(struct supervised *s);
/* Goes on with a child that an earlier netd started. Takes it over. */
int supervise_adopt(struct supervised *s, const struct child *child);
/* Asks it to end, does not restart it any more, and returns at once. */
void supervise_ask_to_end(struct supervised *s);
/* Waits for that, half a second at most, then kills. Both are harmless when nothing
 * runs. */
void supervise_stop(struct supervised *s);
/* Lets it live without us. */
void supervise_leave(struct supervised *s);
