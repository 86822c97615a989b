/* SPDX-License-Identifier: Apache-2.0 */
/* names.h - how the things of a network are named: by its index, and by nothing that a client
 * chose.
 *
 * Network 3 is bridge vb3 with TAPs vt3.0, vt3.1, ... and, where their VMs open them by name,
 * vt3.0n, vt3.1n, ..., all in interface group 4 (0 is
 * everybody's), chain n3 and directory netd/3. In a system instance the host is on it by its
 * link vmb3, whose other end is the bridge's port vh3 with chain h3; the host's link manager is
 * told to leave vmb* alone.
 *
 * Uplink 0 follows the host's routes, each of the others belongs to one interface of the
 * host's. Each is in an interface group of its own, behind the networks'. Uplink 2 is the TAP
 * uplink2 with 169.254.12.100, routing table 202 and chains unreachable2, limits2 and generation2.
 * Uplink 8 is the kernel's, a cable to the host (system instance); its addresses are in transit.h.
 *
 * One of them is the main uplink, whose default route is the main table's: 8 in a system instance,
 * else 0. As long as networks leave by no other, the kernel has no rules to ask for a route.
 */
#pragma once
#include "netd_msg.h"
#include "str.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>

#define NETWORKS_MAX 128u /* a network costs a dnsmasq; nobody has that many */

#define HOST_LINK NETD_HOST_LINKS /* in the host */
#define HOST_PORT "vh"            /* in the namespace */

static inline void bridge_name(uint32_t index, char name[static IFNAMSIZ])
{
    (void)str_format(name, IFNAMSIZ, "vb%u", index); /* which fits */
}

/* All of them, the kernel uplink's cable among them, for a rule. */
#define HOST_LINKS "\"" HOST_LINK "*\""

#define UPLINKS_MAX 8u          /* with an engine each */
#define KERNEL_SLOT UPLINKS_MAX /* the one without */
#define UPLINKS_ALL (KERNEL_SLOT + 1)

static inline const char *uplink_link(unsigned slot)
{
    static const char names[UPLINKS_ALL][8] = { "uplink",  "uplink1", "uplink2",
                                                "uplink3", "uplink4", "uplink5",
                                                "uplink6", "uplink7", "uplink8" };

    return names[slot % UPLINKS_ALL];
}

static inline uint32_t uplink_table(unsigned slot, unsigned main_slot)
{
    return slot == main_slot ? RT_TABLE_MAIN : 200 + slot;
}

/* Some TAPs of one network, as bits: of vt3.0 the lowest, and so on. The last bit stands for
 * all from vt3.62 on. */
static inline uint64_t tap_bit(unsigned k)
{
    return UINT64_C(1) << (k < 62 ? k : 62);
}

static inline uint32_t group_of(uint32_t index)
{
    return index + 1;
}

static inline uint32_t uplink_group(unsigned slot)
{
    return group_of(NETWORKS_MAX) + slot;
}
