/* SPDX-License-Identifier: Apache-2.0 */
/* detour.h - checksums are written before the frame filter looks, not after.
 *
 * A frame with a vnet header may ask for its checksum to be written at a place that it
 * names. Whoever takes that offload gets the frame as it is. For all others - a VM whose
 * driver has not asked for it, any VM while it boots, the engine of the uplink - the kernel
 * writes it last of all, behind every rule: onto the sender's address of an ARP reply, say,
 * with whatever value the sender has prepared. So what a guest with a vnet header sends goes
 * through a device first that makes the kernel write now.
 *
 * Only frames that the next hop may be given whole: longer ones are cut up by code that
 * writes checksums where they belong, and would lose most of their speed. A short frame costs
 * a microsecond more by that, one of 60 kB a tenth (docs/performance.md).
 */
#pragma once
#include "link.h"

/* The network's detour. group: its interface group, with which it goes. mtu: its own. There
 * already: fine. 0 or a negative errno. */
int detour_make(struct link_ctx *links, const char *name, uint32_t group, unsigned mtu);
/* What comes in by this port takes it. Does so already: fine. */
int detour_join(struct link_ctx *links, int ifindex, uint32_t group);
