/* SPDX-License-Identifier: Apache-2.0 */
/* system.h - `vmnet-broker --system`, started by root without systemd.
 *
 * What units, sysusers and tmpfiles arrange otherwise (packaging/): the directories with their
 * owners, netd's socket and who starts netd with it, the namespace's name; and then root's broker
 * becomes the user vmnet-broker, without any capability.
 */
#pragma once
#include "options.h"
#include "paths.h"
#include "status.h"

#include <sys/types.h>

/* The users and the group of a system instance. */
#define SYSTEM_BROKER_USER "vmnet-broker"
#define SYSTEM_NETD_USER   "vmnet-netd"
#define SYSTEM_GROUP       "vmnet"

struct account {
    uid_t uid;
    gid_t gid;
};

struct system_users {
    struct account broker, netd;
};

/* Makes the directories. From here on what is opened and made is the broker's user's: root can come
 * back, and does in system_begin(). 0 or a negative errno with words. */
int system_prepare(const struct paths *paths, struct system_users *ret, struct failure *failure);

/* While holding the broker's lock, for another broker's netd would lose its socket. Returns 0, with
 * *leash to be kept open as long as the broker lives; or a negative errno with words, and then
 * this process must end. */
int system_begin(const struct options *options, const struct paths *paths,
                 const struct system_users *users, int *leash, struct failure *failure);
