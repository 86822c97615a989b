/* SPDX-License-Identifier: Apache-2.0 */
/* silent_netd.c - the parts of netd that its table of operations only tells, or asks what there
 * is, and that have nothing here: for tests of that table, which pretend the others. */
#include "life.h"
#include "networks.h"
#include "uplinks.h"

void life_set_timeout(struct life *life, uint32_t timeout_sec)
{
    (void)life;
    (void)timeout_sec;
}

void life_consider(struct life *life)
{
    (void)life;
}

const struct uplink *uplinks_at(const struct uplinks *uplinks, unsigned slot)
{
    (void)uplinks;
    (void)slot;
    return NULL;
}

const char *uplink_interface(const struct uplink *uplink)
{
    (void)uplink;
    return "";
}

const char *uplink_engine(const struct uplink *uplink)
{
    (void)uplink;
    return "none";
}

const char *uplink_state(const struct uplink *uplink)
{
    (void)uplink;
    return "none";
}

void networks_tell_leases(const struct networks *all)
{
    (void)all;
}

bool networks_stranded(const struct networks *all,
                       void (*each)(void *arg, const struct netd_stranded *), void *arg)
{
    (void)all, (void)each, (void)arg;
    return false;
}

void networks_tell_ways(const struct networks *all, bool again)
{
    (void)all, (void)again;
}
