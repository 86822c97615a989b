/* SPDX-License-Identifier: Apache-2.0 */
/* port_owner.h - who listens on a port of the host, for the words of a refusal.
 *
 * The kernel tells everybody which user a socket belongs to, and each process which of its
 * own user's processes has it: so that one names the process, and another the user alone.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct port_owner {
    uid_t uid;
    pid_t pid; /* 0: not known */
    char command[17];
};

/* Anybody who listens on it, at whatever address. 0; -ENOENT: nobody does, or not any more. */
int port_owner_find(bool udp, uint16_t port, struct port_owner *ret);

#define PORT_OWNER_TEXT 128
/* "process 1234 (nginx) of user 'alice'", "a process of user 'alice'" */
const char *port_owner_words(const struct port_owner *owner, char ret[static PORT_OWNER_TEXT]);
