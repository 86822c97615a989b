/* SPDX-License-Identifier: Apache-2.0 */
/* policy.h - who may do what, and how much of it.
 *
 * Pure rules: the caller brings the numbers, policy says yes or why not. Limits are
 * per uid, since that is whom the kernel vouches for: a user can open connections
 * at will, and only together do they measure what that user takes from the others.
 */
#pragma once
#include "status.h"

#include <stdbool.h>
#include <sys/types.h>

/* Connections: one a VM is usual (the library has one a process), and 512 leave half of
 * the customary 1024 descriptors of a process to other users, to netd and to the
 * descriptors in passing. */
#define POLICY_MAX_PEERS      512u
/* Networks held or awaited: each costs a bridge and a dnsmasq, and one of the 192 subnets
 * that are handed out first; six users at their limit still fit into these. */
#define POLICY_MAX_NETWORKS   32u
/* Live interfaces: about what one /24 has addresses for. */
#define POLICY_MAX_INTERFACES 256u

struct policy {
    uid_t owner; /* sees and may do what root may */
    unsigned max_peers, max_networks, max_interfaces;
};

/* has: what the uid has already, without what it asks for now. Each returns 0, or a
 * negative errno with *failure saying who, what and the remedy. */
int policy_may_connect(const struct policy *policy, uid_t uid, unsigned has,
                       struct failure *failure);
int policy_may_hold(const struct policy *policy, uid_t uid, unsigned has, struct failure *failure);
int policy_may_start(const struct policy *policy, uid_t uid, unsigned has, struct failure *failure);

/* Ending the broker is for those it belongs to. */
int policy_may_stop(const struct policy *policy, uid_t uid, struct failure *failure);

/* May `asker` see the processes and interfaces of `subject`, or of everybody? */
bool policy_sees(const struct policy *policy, uid_t asker, uid_t subject);
bool policy_sees_all(const struct policy *policy, uid_t asker);
