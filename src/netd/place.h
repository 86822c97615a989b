/* SPDX-License-Identifier: Apache-2.0 */
/* place.h - where a netd is at home: directories, socket path, log, lock.
 *
 *   STATE/netd/            the journal, and a directory for each network
 *   STATE/netd/netd.lock   one netd a state directory
 *   STATE/netd.log         its log, when it runs in the background
 *   RUNTIME/netd.sock      its socket (src/wire/paths.h)
 */
#pragma once
#include "options.h"
#include "paths.h"
#include "why.h"

#include <limits.h>
#include <sys/un.h>

struct place {
    bool system;
    struct paths paths;
    char socket_path[sizeof((struct sockaddr_un *)NULL)->sun_path];
    char dir_path[PATH_MAX];      /* STATE/netd */
    int state_dirfd, dirfd, lock; /* -1: not yet */
};

int place_choose(struct place *place, const struct options *options, struct netd_why *why);
/* Makes and opens the directories; again in a process that has lost them. */
int place_open(struct place *place, struct netd_why *why);
/* For writing, or a negative errno. */
int place_open_log(const struct place *place);
/* 1: another netd serves here, and we are not needed. passed: but we have been given its socket,
 * so it is to leave, and to leave us what it has. */
int place_lock(struct place *place, bool passed, struct netd_why *why);
/* The lock goes last, since then the next netd may start. */
void place_close(struct place *place);
