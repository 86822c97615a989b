/* SPDX-License-Identifier: Apache-2.0 */
/* dnsmasq_sandbox.h - what dnsmasq keeps, which reads what guests send. */
#pragma once
#include "confine.h"

/* Of the system calls; made by the spawner, once, for all that it will start. */
int dnsmasq_sandbox_prepare(struct confine_filter *ret);

/* In the child that is about to become dnsmasq, inside the namespace: no file but those of
 * its network's directory, of libraries, and what is public; only the calls of the filter,
 * among which is the exec() that follows. 0 or a negative errno. */
int dnsmasq_sandbox_enter(const struct confine_filter *filter, const char *directory);
