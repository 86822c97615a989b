/* SPDX-License-Identifier: Apache-2.0 */
/* listeners.h - the doors of the broker: sockets on which clients are accepted.
 *
 * Many may come at once, but not so many a turn of the loop that those inside have to
 * wait; and while more come than share.h lets anybody have of the time, those who are inside
 * come first. When descriptors or memory are short, nobody is accepted for a moment: who waits
 * at a door stays readable, and asking again at once would spin.
 */
#pragma once
#include "transport.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct listeners;

/* fd: the callback's from now on, non-blocking. */
typedef void (*listeners_accepted)(void *arg, int fd, const struct peer_cred *cred);

/* event: borrowed. 0 or a negative errno. */
int listeners_new(sd_event *event, listeners_accepted accepted, void *arg, struct listeners **ret);
/* A listening stream socket: taken over on success. 0 or a negative errno. */
int listeners_add(struct listeners *listeners, int fd);
/* A descriptor has become free: who had to wait for one comes in. */
void listeners_go_on(struct listeners *listeners);
/* From now on nobody can connect; whoever already had is let in. Returns whether there was one. */
bool listeners_shut(struct listeners *listeners);
void listeners_close(struct listeners *listeners); /* all of them */
void listeners_free(struct listeners *listeners);  /* NULL is fine */
