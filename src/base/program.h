/* SPDX-License-Identifier: Apache-2.0 */
/* program.h - the programs that we start: where they are, and a start that disturbs nobody. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

/* The file of this name in the directory that we were started from ourselves, whether it
 * exists or not. 0 or a negative errno. */
int program_beside_us(const char *name, char *ret, size_t size);

/* The program of this name where a system has its programs, sbin too. Never $PATH: for those
 * who must not run what their environment chose. -ENOENT: nowhere. */
int program_of_system(const char *name, char *ret, size_t size);

/* Starts it: nothing to read, nobody to write to, standard error goes to `words` (borrowed),
 * default signals, empty mask, our environment; whatever else of ours is open must be
 * close-on-exec. A program without a '/' is looked for in $PATH. argv ends with NULL.
 * 0 with the pid of our child, or a negative errno. */
int program_spawn(const char *program, const char *const *argv, int words, pid_t *ret);
