/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <errno.h>

static int within(unsigned has, unsigned max, uid_t uid, const char *what, const char *remedy,
                  struct failure *failure)
{
    if (has < max)
        return 0;
    return failure_set(failure, -EDQUOT, "uid %u has %u %s, the most that one user may have: %s",
                       (unsigned)uid, has, what, remedy);
}

int policy_may_connect(const struct policy *policy, uid_t uid, unsigned has,
                       struct failure *failure)
{
    return within(has, policy->max_peers, uid, "connections to the broker",
                  "end programs that use networks, or share a connection", failure);
}

int policy_may_hold(const struct policy *policy, uid_t uid, unsigned has, struct failure *failure)
{
    return within(has, policy->max_networks, uid, "networks in use", "release one first", failure);
}

int policy_may_start(const struct policy *policy, uid_t uid, unsigned has, struct failure *failure)
{
    return within(has, policy->max_interfaces, uid, "interfaces in use", "end a VM first", failure);
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
    return failure_set(failure, -EPERM,
                       "uid %u may not stop this broker: ask root, or uid %u whose broker it is",
                       (unsigned)uid, (unsigned)policy->owner);
}
