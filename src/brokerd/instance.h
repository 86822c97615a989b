/* SPDX-License-Identifier: Apache-2.0 */
/* instance.h - the places of one broker: directories, locks, log. */
#pragma once
#include "options.h"
#include "paths.h"
#include "status.h"

#include <stdbool.h>

/* Where everything is, as the options and the environment have it. With --socket the
 * runtime directory is that socket's, so that netd's socket lies beside it. 0 or a
 * negative errno with words. */
int instance_paths(const struct options *options, struct paths *ret, struct failure *failure);

/* Where clients find us. 0 or a negative errno with words. */
int instance_socket(const struct options *options, const struct paths *paths, char *ret,
                    unsigned long size, struct failure *failure);

/* Opens the state directory, making it if need be. A descriptor, or a negative errno with
 * words. */
int instance_open_state(const struct paths *paths, struct failure *failure);

/* Takes a lock file in the state directory, and writes our pid into it; waits for up to
 * wait_msec if somebody else has it. The lock is held until the descriptor (of this
 * process and its children) is closed. -EWOULDBLOCK: held by *holder (0: unknown). */
int instance_lock(int state_dirfd, const char *name, unsigned wait_msec, int *holder);

/* Opens broker.log to append; a large one is put aside first. A descriptor or a negative
 * errno. */
int instance_open_log(int state_dirfd);
