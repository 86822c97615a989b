/* SPDX-License-Identifier: Apache-2.0 */
/* process.h - what /proc says of a process. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A process as an identity: a number alone may be somebody else's by now. */
struct process {
    pid_t pid;     /* 0: none */
    uint64_t born; /* field 22 of /proc/PID/stat */
};

/* When a process was born; -ESRCH when there is none. */
int process_born(pid_t pid, uint64_t *ret);
/* How long it has been running on a CPU, in ticks of the clock; -ESRCH. */
int process_ticks(pid_t pid, uint64_t *ret);
/* Is it still that one, and not a corpse? 1, 0, or a negative errno: that cannot be seen. */
int process_look(const struct process *process);
bool process_alive(const struct process *process);
/* Has somebody stopped it (SIGSTOP)? */
bool process_stopped(const struct process *process);
