/* SPDX-License-Identifier: Apache-2.0 */
/* bridge.h - a network's switch, and the gateway's place on it. */
#pragma once
#include "link.h"
#include "why.h"

/* The gateway's MAC: the same in every life of the network, so that guests' ARP
 * caches stay right, and never a VM's. */
struct mac bridge_mac(const struct netd_network *net);

/* The host's, where it is on the network: likewise, by the subnet's first address. */
struct mac host_mac(uint32_t ipv4_base);

/* May a VM have this address: in the subnet, and neither the gateway's, the host's nor
 * the subnet's own? 0 or -EINVAL with words. */
int vm_address_check(const struct netd_network *net, uint32_t ipv4, struct netd_why *why);

/* The bridge with the gateway's addresses, up, all links of it in `group`. On error
 * nothing is left. */
int bridge_build(struct link_ctx *links, const char *name, uint32_t group,
                 const struct netd_network *net, struct netd_why *why);

/* The namespace itself, once: loopback up, a router that listens to nobody's
 * advertisements, and frames between guests kept away from the IP rules. */
int bridge_prepare_namespace(struct link_ctx *links, struct netd_why *why);
