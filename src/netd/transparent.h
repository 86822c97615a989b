/* SPDX-License-Identifier: Apache-2.0 */
/* transparent.h - a socket of ours that has a client's address hears what a VM answers to it.
 *
 * To the routing table that address is somewhere on the internet. So packets from guests for
 * which there is such a socket get a mark (router.h), and what has the mark is delivered here.
 */
#pragma once
#include "link.h"

/* The route for marked packets, in both families. 0 or a negative errno. */
int transparent_route(struct link_ctx *links);
