/* SPDX-License-Identifier: Apache-2.0 */
/* filter_part.h - what the files of the frame filter share: filter.c (the table and its ports)
 * and filter_network.c (each network's chains). */
#pragma once
#include "filter.h"
#include "names.h"

#define TABLE "bridge vmnet"

/* Raw, since a set holds one type of key, and these are one MAC in three places. */
#define FRAME_SENDER "iifname . @ll,48,48"
#define ARP_SENDER   "iifname . @nh,64,48"
#define DHCP_CLIENT  "iifname . @th,288,48" /* BOOTP's chaddr */

/* MAC and type of the frame in one, and its IPv4 address: a port's own, and nothing else. */
#define PLAIN_SENDER "iifname . @ll,48,64 . @nh,96,32"
#define PLAIN_TYPE   "0800"

/* The host's ports: no other link here has such a name. */
#define HOST_PORTS "\"" HOST_PORT "*\""

/* A chain for what goes from port to port, with these rules, once more or for the first time. It
 * is made when somebody needs it, and the one of the host's stays then: an empty one, asked for
 * nothing, costs each frame between VMs as much as a look-up in a set. */
int filter_add_forward_chain(struct nft *nft, const char *name, const char *rules);
