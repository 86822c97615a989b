/* SPDX-License-Identifier: Apache-2.0 */
/* detour.h - checksums are written before the frame filter looks, not after.
 *
 * A frame with a vnet header may ask for its checksum to be written at a place that it
 * names. A VM with checksum offload gets it as it is. For one without, the kernel writes it
 * last of all, behind every rule: onto the sender's address of an ARP reply, say, with
 * whatever value the sender has prepared. So where a network has such a VM, what its guests
 * send goes through a device first that makes the kernel write now.
 *
 * Only frames that the next hop may be given whole: longer ones are cut up by code that
 * writes checksums where they belong, and would lose most of their speed.
 */
#pragma once
#include "link.h"

/* The port's frames take the detour of its network, once there is one. group: the network's
 * interface group. Done already: fine. */
int detour_join(struct link_ctx *links, int ifindex, uint32_t group);
/* From now on there is one, for all that have joined. mtu: the network's. */
int detour_begin(struct link_ctx *links, uint32_t group, unsigned mtu);
void detour_end(struct link_ctx *links, uint32_t group);
