/* SPDX-License-Identifier: Apache-2.0 */
/* anchor.h - the tiny process that holds the namespaces open.
 *
 * A network namespace lives on through its TAPs, but once no process is left in it
 * nobody can enter it any more (tried). So one process does nothing but be there,
 * in a session of its own; netd, whose user owns the user namespace, enters through
 * it, and the next netd too.
 */
#pragma once
#include "confine.h"
#include "process.h"
#include "uplink_user.h"

/* Forks one, with a user namespace in which our id is itself (root is 1: dnsmasq as
 * id 0 of a namespace with a single id cannot drop its groups) and a network
 * namespace. With an uplink user (else NULL) the former knows that one, too, and the anchor is
 * that one; -EPERM where we may not map others. Returns when both are ready. *ret_leash is the
 * caller's: closed before anchor_release() - by our death, say - it ends the anchor, so that none
 * is left behind that no journal knows of. */
int anchor_start(const struct uplink_user *uplink, struct process *ret, int *ret_leash);
/* From now on it lives for ever. Closes the leash. */
int anchor_release(int leash);

/* What the rest of another anchor's life consists of, for a child that is inside already.
 * leash: gets 0 or a negative errno. */
_Noreturn void anchor_stay(int leash);

/* The namespaces of a process that is inside: the anchor, or any other. -EPERM: not ours. */
int anchor_open(pid_t pid, int *ret_userns, int *ret_netns);
/* Moves the calling process there, where it has every capability over them. The caller has
 * one thread. */
int anchor_enter_by(int userns, int netns);
/* Both. */
int anchor_enter(pid_t pid);

/* Ends it, and with it (TAPs aside) the network namespace with all its links. */
void anchor_end(const struct process *anchor);

/* All that the anchor itself still does. */
extern const struct call_rule anchor_calls[];
