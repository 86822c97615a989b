/* SPDX-License-Identifier: Apache-2.0 */
/* forwarder_line.h - netd's line to the forwarder: kept running, told what to do, found again.
 *
 * What it is told stands in a queue, which is sent as far as its socket takes it: a forwarder
 * that hangs costs netd memory for the orders that there can be, and a second once.
 */
#pragma once
#include "forwarder.h"
#include "journal.h"
#include "spawner.h"

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

struct forwarder_line;

struct forwarder_line_setup {
    sd_event *event; /* all borrowed */
    struct spawner *spawner;
    struct journal *journal;
    int dirfd; /* netd's directory */
    /* A new one runs, and knows nothing. */
    void (*up)(void *arg);
    /* It is dead, with all that it had; another one follows. */
    void (*down)(void *arg);
    void *arg;
};

int forwarder_line_new(const struct forwarder_line_setup *setup, struct forwarder_line **ret);
/* It lives on without us, or not at all. NULL is fine. */
void forwarder_line_free(struct forwarder_line *line);

/* Nothing when it runs already; else up() has been called when this returns 0. */
int forwarder_line_start(struct forwarder_line *line);
void forwarder_line_stop(struct forwarder_line *line);
bool forwarder_line_runs(const struct forwarder_line *line); /* as far as it is up to us */

struct process forwarder_line_process(const struct forwarder_line *line); /* pid 0: none */

/* fds: n of them, taken over on success. */
int forwarder_line_order(struct forwarder_line *line, const struct forwarder_order *order, int *fds,
                         size_t n);

/* Waits until it has closed what FORWARDER_REMOVE named, a second at most; when it once did not
 * answer in time, it is not waited for again before it does. */
void forwarder_line_await_removal(struct forwarder_line *line, uint32_t number);

/* Goes on with that of a dead netd. netd: the connection to it, taken over. has() is called for
 * all that it has. On error it is as dead. */
int forwarder_line_adopt(struct forwarder_line *line, const struct process *forwarder, int netd,
                         void (*has)(void *arg, uint32_t number));
