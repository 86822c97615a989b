/* SPDX-License-Identifier: Apache-2.0 */
/* netd_starter.h - starts vmnet-netd, from outside the broker's confinement.
 *
 * What a process starts inherits its seccomp filter, and netd needs much that a broker
 * must not have. So a broker that may have to start one forks this process before it
 * confines itself. It is told "now" and nothing else; which program that is, and with
 * which arguments, it has known since the fork. It ends with the broker, and what it has
 * started does not. Should it die before the broker, the broker follows when it needs one:
 * see netd_start.c.
 */
#pragma once
#include "status.h"

#include <stddef.h>
#include <stdint.h>

struct netd_starter;
struct netd_start_config;

/* Which program that is: this one; NULL: $VMNET_BROKER_NETD, else beside our own program, else
 * LIBEXECDIR. 0 or -ENAMETOOLONG. */
int netd_program(const char *program, char *path, size_t size);

/* Forks. config: what it says now is what counts. 0 or a negative errno. */
int netd_starter_new(const struct netd_start_config *config, struct netd_starter **ret);
void netd_starter_free(struct netd_starter *starter); /* NULL is fine */

/* Starts one more. Returns a number for this attempt, or a negative errno. */
int netd_starter_ask(struct netd_starter *starter);
/* Readable: there is an answer, or the starter has gone. */
int netd_starter_fd(const struct netd_starter *starter);
/* Which attempt has come to an end, and how; failure->err 0: netd serves. -EAGAIN: none
 * has. -EPIPE: none ever will. */
int netd_starter_answer(struct netd_starter *starter, struct failure *failure);
