/* SPDX-License-Identifier: Apache-2.0 */
/* child.h - runs a COMMAND as if it were run directly.
 *
 * It gets our environment and standard descriptors, and the signals that we get; we end
 * as it ended. We stay beside it only because the connection that holds its networks is
 * ours. */
#pragma once
#include "hold.h"

/* Starts and awaits it, and holds networks for it meanwhile (NULL: none). started(arg), which
 * may be NULL, is called in this process as soon as the command has its own copy of every
 * descriptor. Returns the exit status to use. */
int child_run(char *const *argv, struct hold *hold, void (*started)(void *arg), void *arg);

/* Replaces this process by the command; returns an exit status when that failed, said. */
int child_exec(char *const *argv);
