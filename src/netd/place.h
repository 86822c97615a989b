/* SPDX-License-Identifier: Apache-2.0 */
/* place.h - where a netd is at home: directories, socket path, log, lock.
 *
 *   STATE/netd/            the journal, and a directory for each network
 *   STATE/netd/netd.lock   one netd a state directory
 *   STATE/netd.log         its log, when it runs in the background
 *   RUNTIME/netd.sock      its socket (src/wire/paths.h)
 */
#pragma once
#include "paths.h"
#include "why.h"

#include <limits.h>
#include <sys/un.h>

struct place {
    struct paths paths;
    char socket_path[sizeof((struct sockaddr_un *)NULL)->sun_path];
    char dir_path[PATH_MAX];      /* STATE/netd */
    int state_dirfd, dirfd, lock; /* -1: not yet */
};

/* state_dir, runtime_dir: NULL, by the environment. */
int place_choose(struct place *place, const char *state_dir, const char *runtime_dir,
                 struct netd_why *why);
/* Makes and opens the directories; again in a process that has lost them. */
int place_open(struct place *place, struct netd_why *why);
/* For writing, or a negative errno. */
int place_open_log(const struct place *place);
/* 1: another netd serves here, and we are not needed. */
int place_lock(struct place *place, struct netd_why *why);
/* The lock goes last, since then the next netd may start. */
void place_close(struct place *place);
