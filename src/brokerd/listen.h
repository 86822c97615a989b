/* SPDX-License-Identifier: Apache-2.0 */
/* listen.h - the socket file that clients find, from making it to taking it away.
 *
 * It is bound under another name and renamed into place, already listening: a client
 * finds a socket that answers, or none, or the one of a dead broker, never a gap.
 * Call it only while holding broker.lock.
 */
#pragma once
#include "status.h"

#include <stdbool.h>
#include <sys/types.h>

struct socket_file {
    char path[108]; /* "": none */
    dev_t device;
    ino_t inode;
};

/* Makes the socket's directory if need be, which must be ours. shared: others may connect
 * too, namely the members of group vmnet where there is one (the system instance). Returns
 * a listening descriptor, or a negative errno with words: -EADDRINUSE when another
 * broker answers at this path. */
int socket_file_bind(const char *path, bool shared, struct socket_file *ret,
                     struct failure *failure);

/* Removes it, if it is still the one we made. */
void socket_file_remove(struct socket_file *file);

/* Does somebody accept connections at this path? */
bool socket_answers(const char *path);
