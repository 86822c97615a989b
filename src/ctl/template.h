/* SPDX-License-Identifier: Apache-2.0 */
/* template.h - {fd}, {mac} and the like in a command's arguments.
 *
 * {fd} the descriptor of a TAP; {fds} those of all queues, as 7:8:9; {tap} its name, where that
 * stands in their place; {mac}; {mtu}; {ip} the IPv4 address. A number counts the networks: {fd}
 * and {fd0} are the first one's, {fd1} the second one's. Anything else in braces is the command's
 * own business, since JSON and shells use braces too. */
#pragma once
#include "status.h"

#include <stddef.h>

struct template_interface {
    const char *mac, *ip, *tap; /* ip NULL: none. tap NULL: it has descriptors instead */
    unsigned mtu;
    const int *fds;
    unsigned queues;
};

/* Returns malloc'd text; or NULL, with *why saying what is wrong with the argument. */
char *template_expand(const char *argument, const struct template_interface *interfaces, size_t n,
                      struct failure *why);
