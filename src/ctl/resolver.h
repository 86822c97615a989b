/* SPDX-License-Identifier: Apache-2.0 */
/* resolver.h - names inside the networks' namespace.
 *
 * The host's resolver cannot be reached from there, and does not know virtual machines;
 * the networks' own knows them, and asks the host's for the rest. So a command that is
 * run inside sees an /etc/resolv.conf of its own. */
#pragma once
#include <jansson.h>

/* The text for the networks of a Status reply, malloc'd; a network with a way out comes
 * first, since only the first is asked as a rule. NULL: none answers, or no memory. */
char *resolver_text(const json_t *networks);

/* Inside the namespace, with its capabilities: from now on this process and what it runs
 * see the text as /etc/resolv.conf, and nobody else does. 0 or a negative errno. */
int resolver_use(const char *text);
