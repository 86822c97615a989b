/* SPDX-License-Identifier: Apache-2.0 */
/* cable.h - the two ends of the cable between the host and the vmnet namespace.
 *
 * Each end has a MAC that we chose and two addresses (transit.h), and knows the other end's for
 * good: no ARP and no neighbour discovery is ever needed on it. So a firewall of the host's that
 * drops these, in whichever direction, neither cuts a family off nor does so some seconds after a
 * probe has passed. What an end knows goes with its link.
 */
#pragma once
#include "link.h"

enum cable_end { CABLE_HOST, CABLE_INSIDE };

extern const struct mac cable_mac[2]; /* by end */

/* The end `name`, on whose side `links` is, is up and has all that it must have. How much of that
 * was not so, or a negative errno. A host without IPv6 does without; the namespace does not. */
int cable_connect(struct link_ctx *links, const char *name, enum cable_end end, uint32_t transit);
