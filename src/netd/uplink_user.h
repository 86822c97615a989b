/* SPDX-License-Identifier: Apache-2.0 */
/* uplink_user.h - the user as whom pasta runs in a system instance: one of its own.
 *
 * pasta reads what guests send, and stands in the host's network. Who takes it over must not find
 * netd, dnsmasq and their files to be its own user's. But it has to enter our namespaces, and a
 * user namespace has room for those only whom it knows: so the one of a system instance knows two
 * users. Mapping another user than oneself takes CAP_SETUID and CAP_SETGID over the host, which
 * netd has for this at its start, and for nothing else. docs/decisions/0010-uplink-user.md.
 *
 * The anchor is this user, too: the kernel opens the network namespace for a process of the same
 * user that has no more capabilities, and pasta gives up early what would open it otherwise.
 *
 * A user's own instance has none of this, nor have namespaces of an earlier netd: there pasta is
 * whoever netd is.
 */
#pragma once
#include <sys/types.h>

struct uplink_user {
    uid_t uid; /* 0: there is none */
    gid_t gid;
};

struct process;

/* anchor_start(), with this user as the machine knows it. Without where that cannot be, which the
 * log says. */
int uplink_user_anchor(struct process *ret, int *ret_leash);
/* Tells the log why there is none in namespaces that were there already. */
void uplink_user_miss(void);

/* From outside: the new user namespace of that process knows us and this one from now on. */
int uplink_user_map(pid_t pid, const struct uplink_user *user);
/* From outside: whom the user namespace of that process knows beside us. */
void uplink_user_of(pid_t pid, struct uplink_user *ret);

/* Inside: for good. Keeps nothing, ... */
int uplink_user_become(const struct uplink_user *user);
/* ... or what pasta needs across exec(), over our namespaces only. */
int uplink_user_become_engine(const struct uplink_user *user);
