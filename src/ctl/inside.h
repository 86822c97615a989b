/* SPDX-License-Identifier: Apache-2.0 */
/* inside.h - into the namespace of a user instance's networks.
 *
 * The broker names a process that holds the namespaces open. Entering them needs nothing
 * but being its user. */
#pragma once
#include "ctl.h"

struct inside {
    long pid;       /* of that process */
    char *resolver; /* resolv.conf's text, or NULL */
};

/* Asks the broker, starting none. 0; or -1, said. The caller clears it, either way. */
int inside_find(const struct ctl *ctl, struct inside *ret);
/* This process, and what it runs from now on, is there, finds virtual machines by name, and
 * has all capabilities over the namespace until the next execve(). 0; or -1, said. */
int inside_enter(const struct inside *inside);
void inside_clear(struct inside *inside);
