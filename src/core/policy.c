/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include "accounts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#define PRIVILEGED_PORTS 1024u /* those below it */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

struct policy_limits policy_limits_for(unsigned long files)
{
    unsigned all = files < UINT_MAX ? (unsigned)files : UINT_MAX;
    unsigned spare = all > 2 * POLICY_OWN_FILES ? all - POLICY_OWN_FILES : all / 2;

    return (struct policy_limits){
        .connections = least(POLICY_CONNECTIONS, spare / 4),
        .networks = POLICY_NETWORKS,
        .interfaces = POLICY_INTERFACES,
        .queues = least(POLICY_QUEUES, spare / 4),
        .waiting = POLICY_WAITING,
        .watchers = POLICY_WATCHERS,
        .forwards = POLICY_FORWARDS,
        .all_connections = spare - spare / 4,
    };
}

static int within(unsigned has, unsigned max, uid_t uid, const char *what, const char *remedy,
                  struct failure *failure)
{
    if (has < max)
        return 0;
    return failure_set(failure, -EDQUOT, "uid %u has %u %s, the most that one user may have: %s",
                       (unsigned)uid, has, what, remedy);
}

int policy_may_connect(const struct policy *policy, uid_t uid, unsigned has, unsigned all,
                       struct failure *failure)
{
    unsigned most = policy->limits.all_connections;

    if (policy_sees_all(policy, uid))
        most += POLICY_RESERVED;
    if (all >= most)
        return failure_set(failure, -EDQUOT,
                           "%u programs are connected, the most that the broker has descriptors "
                           "for: end some, or raise its limit of open files (RLIMIT_NOFILE)",
                           all);
    return within(has, policy->limits.connections, uid, "connections to the broker",
                  "end programs that use networks, or share a connection", failure);
}

int policy_may_hold(const struct policy *policy, uid_t uid, unsigned has, struct failure *failure)
{
    return within(has, policy->limits.networks, uid, "networks in use", "release one first",
                  failure);
}

int policy_may_start(const struct policy *policy, uid_t uid, unsigned has, unsigned queues,
                     struct failure *failure)
{
    unsigned interfaces = policy->limits.interfaces;

    if (!policy_sees_all(policy, uid))
        interfaces -= interfaces / 2;
    if (queues > policy->limits.queues)
        return failure_set(failure, -EDQUOT,
                           "uid %u would have %u queues of interfaces, and one user may have %u: "
                           "ask for fewer, or end a VM first",
                           (unsigned)uid, queues, policy->limits.queues);
    return within(has, interfaces, uid, "interfaces in use", "end a VM first", failure);
}

int policy_may_wait(const struct policy *policy, uid_t uid, unsigned has, struct failure *failure)
{
    return within(has, policy->limits.waiting, uid, "requests that wait for their answers",
                  "try again when some are answered", failure);
}

int policy_may_forward(const struct policy *policy, uid_t uid, unsigned has,
                       struct failure *failure)
{
    unsigned forwards = policy->limits.forwards;

    if (!policy_sees_all(policy, uid))
        forwards /= 4;
    return within(has, forwards, uid, "forwarded ports", "remove one first", failure);
}

int policy_may_open_port(const struct policy *policy, uid_t uid, unsigned port,
                         struct failure *failure)
{
    if (port >= PRIVILEGED_PORTS || policy_sees_all(policy, uid))
        return 0;
    return failure_set(failure, -EPERM,
                       "port %u of the host is for root only: choose one from %u on, or ask root "
                       "for a definition with port_forwarding",
                       port, PRIVILEGED_PORTS);
}

int policy_may_lead_to(const struct policy *policy, uid_t uid, const struct forward_target *target,
                       struct failure *failure)
{
    if (policy_sees_all(policy, uid) || (target->live && target->uid == uid))
        return 0;
    return failure_set(failure, -EPERM,
                       "uid %u may forward ports to its own running VMs only, and %s ask root, or "
                       "uid %u whose broker it is",
                       (unsigned)uid,
                       target->live ? "this one is another user's:"
                                    : "no VM is there: start it first, or",
                       (unsigned)policy->owner);
}

static bool is_in(const struct peer_cred *cred, gid_t gid)
{
    for (unsigned i = 0; i < cred->n_groups; i++)
        if (cred->groups[i] == gid)
            return true;
    return cred->gid == gid;
}

/* A name that means nobody on this machine allows nobody. */
static bool allowed(const struct accounts *accounts, const struct peer_cred *cred,
                    const struct allow *allow)
{
    uid_t uid;
    gid_t gid;

    for (size_t i = 0; i < allow->n_users; i++)
        if (accounts->user(allow->users[i], &uid) == 0 && uid == cred->uid)
            return true;
    for (size_t i = 0; i < allow->n_groups; i++)
        if (accounts->group(allow->groups[i], &gid) == 0 && is_in(cred, gid))
            return true;
    return false;
}

int policy_may_use(const struct policy *policy, const struct peer_cred *cred,
                   const struct definition *def, struct failure *failure)
{
    char name[ACCOUNT_NAME_SIZE];

    if (!def->allow.given || cred->uid == 0 || allowed(&policy->accounts, cred, &def->allow))
        return 0;
    return failure_set(failure, -EPERM,
                       "user '%s' may not use it: it is only for those that 'allow' names in %s; "
                       "root can add to these",
                       account_user_name(cred->uid, name), def->file ? def->file : "it");
}

int policy_may_use_usual(const struct policy *policy, const struct peer_cred *cred,
                         struct failure *failure)
{
    static char group[][ACCOUNT_NAME_SIZE] = { POLICY_GROUP };
    static const struct allow usual = { .given = true, .groups = group, .n_groups = 1 };
    char name[ACCOUNT_NAME_SIZE];

    if (cred->uid == 0 || allowed(&policy->accounts, cred, &usual))
        return 0;
    (void)account_user_name(cred->uid, name);
    return failure_set(
        failure, -EPERM,
        "user '%s' may not use it: the system's networks are for root and members of "
        "group " POLICY_GROUP "; as root: usermod -aG " POLICY_GROUP " %s, and log in again",
        name, name);
}

int policy_may_watch(const struct policy *policy, uid_t uid, unsigned has, struct failure *failure)
{
    return within(has, policy->limits.watchers, uid, "connections that monitor", "end one first",
                  failure);
}

bool policy_sees_all(const struct policy *policy, uid_t asker)
{
    return asker == 0 || asker == policy->owner;
}

bool policy_sees(const struct policy *policy, uid_t asker, uid_t subject)
{
    return asker == subject || policy_sees_all(policy, asker);
}

int policy_may_stop(const struct policy *policy, uid_t uid, struct failure *failure)
{
    if (policy_sees_all(policy, uid))
        return 0;
    if (policy->owner == 0)
        return failure_set(failure, -EPERM, "uid %u may not stop this broker: ask root",
                           (unsigned)uid);
    return failure_set(failure, -EPERM,
                       "uid %u may not stop this broker: ask root, or uid %u whose broker it is",
                       (unsigned)uid, (unsigned)policy->owner);
}
