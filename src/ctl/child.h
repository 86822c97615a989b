/* SPDX-License-Identifier: Apache-2.0 */
/* child.h - runs a COMMAND as if it were run directly.
 *
 * It gets our environment and standard descriptors, and the signals that we get; we end
 * as it ended. We stay beside it only because the connection that holds its networks is
 * ours. */
#pragma once
#include "hold.h"

/* On the way; both may be NULL. */
struct child_steps {
    int (*begin)(void *arg);    /* in the command's process; negative: it ends, and this is said */
    void (*started)(void *arg); /* in ours: the command has its own copy of every descriptor */
    void *arg;
};

/* Starts and awaits it, and holds networks for it meanwhile (NULL: none). steps: NULL for none.
 * Returns the exit status to use. */
int child_run(char *const *argv, struct hold *hold, const struct child_steps *steps);

/* Replaces this process by the command; returns an exit status when that failed, said. */
int child_exec(char *const *argv);
