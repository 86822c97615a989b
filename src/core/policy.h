/* SPDX-License-Identifier: Apache-2.0 */
/* policy.h - who may do what, and how much of it.
 *
 * Pure rules: the caller brings the numbers, policy says yes or why not. Limits are
 * per uid, since that is whom the kernel vouches for: a user can open connections
 * at will, and only together do they measure what that user takes from the others.
 *
 * What is limited is what others would lack: descriptors of the broker, addresses and
 * subnets, the helper's time. Whoever reaches a limit loses nothing that they have.
 * vmnet-broker(8) has the same table.
 */
#pragma once
#include "definition.h"
#include "status.h"
#include "transport.h"

#include <stdbool.h>
#include <sys/types.h>

/* Connections: one a VM is usual, since the library has one a process. */
#define POLICY_CONNECTIONS 512u
/* Networks held or awaited: each costs a bridge and a dnsmasq, and one of the 192 subnets
 * that are handed out first; six users at their limit still fit into these. */
#define POLICY_NETWORKS    32u
/* Live interfaces: about what one /24 has addresses for, and half of that for whoever has
 * to share the broker. */
#define POLICY_INTERFACES  256u
/* Queues of all of them: each is a descriptor, and until its client fetches it from the
 * socket the kernel counts it as ours, up to our own limit of open files. */
#define POLICY_QUEUES      1024u
/* Requests that await their answer: as many as VMs that start at once. The helper needs
 * half a millisecond for each, and others' requests queue behind them. */
#define POLICY_WAITING     256u
/* Connections that monitor: each costs a message at every event. */
#define POLICY_WATCHERS    8u
/* Ports of the host that lead to VMs, two for each of as many VMs as there may be. Others than
 * root and the owner get a quarter, since netd has 1024 for all of them. */
#define POLICY_FORWARDS    512u
/* Descriptors that connections never take: the broker's own, and some in passing. */
#define POLICY_OWN_FILES   128u
/* Connections beyond the last one of everybody, for root and the owner to look what is
 * wrong. */
#define POLICY_RESERVED    16u

/* Whose members may use the system's networks by default. */
#define POLICY_GROUP "vmnet"

struct policy_limits {
    unsigned connections, networks, interfaces, queues, waiting, watchers, forwards; /* one's */
    unsigned all_connections; /* of everybody */
};

/* The defaults for a process that may have so many open files: with few of them no user
 * gets more than a quarter. */
struct policy_limits policy_limits_for(unsigned long files);

/* Who is meant by a name: base/accounts.h, or a test's own people. 0 or a negative errno. */
struct accounts {
    int (*user)(const char *name, uid_t *ret);
    int (*group)(const char *name, gid_t *ret);
};

struct policy {
    uid_t owner; /* sees and may do what root may */
    struct accounts accounts;
    struct policy_limits limits;
};

/* has: what the uid has already, without what it asks for now. Each returns 0, or
 * -EDQUOT with *failure saying who, what and the remedy. */

/* all: connections of everybody. */
int policy_may_connect(const struct policy *policy, uid_t uid, unsigned has, unsigned all,
                       struct failure *failure);
int policy_may_hold(const struct policy *policy, uid_t uid, unsigned has, struct failure *failure);
/* queues: those of its interfaces, with the ones that are wanted now. */
int policy_may_start(const struct policy *policy, uid_t uid, unsigned has, unsigned queues,
                     struct failure *failure);
int policy_may_wait(const struct policy *policy, uid_t uid, unsigned has, struct failure *failure);
int policy_may_watch(const struct policy *policy, uid_t uid, unsigned has, struct failure *failure);

int policy_may_forward(const struct policy *policy, uid_t uid, unsigned has,
                       struct failure *failure);

/* As the kernel has it: those of root's services are nobody's to take. */
int policy_may_open_port(const struct policy *policy, uid_t uid, unsigned port,
                         struct failure *failure);

/* May `uid` lead a port of the host to what is somebody's? */
int policy_may_lead_to(const struct policy *policy, uid_t uid, const struct forward_target *target,
                       struct failure *failure);

/* May this client use the network by its definition? Root may, whatever it says. */
int policy_may_use(const struct policy *policy, const struct peer_cred *cred,
                   const struct definition *def, struct failure *failure);

/* The same in a system instance where neither the definition nor the administrator's policy says
 * who may. */
int policy_may_use_usual(const struct policy *policy, const struct peer_cred *cred,
                         struct failure *failure);

/* Ending the broker is for those it belongs to. */
int policy_may_stop(const struct policy *policy, uid_t uid, struct failure *failure);

/* May `asker` see the processes and interfaces of `subject`, or of everybody? */
bool policy_sees(const struct policy *policy, uid_t asker, uid_t subject);
bool policy_sees_all(const struct policy *policy, uid_t asker);
