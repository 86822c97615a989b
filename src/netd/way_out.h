/* SPDX-License-Identifier: Apache-2.0 */
/* way_out.h - by which uplink a network's packets leave.
 *
 * Uplink 0 has the main table's default route, which is everybody's. For each other one
 * there is a table with a default route of its own (uplink_tap.c), and a rule a network,
 * which sends there what came by its bridge. What the main table knows better than by a
 * default route (our own networks) goes that way first, and is dropped as ever.
 */
#pragma once
#include "link.h"

/* slot: the uplink (names.h); for 0 there is nothing to do. 0 or a negative errno. */
int way_out_add(struct link_ctx *links, const char *bridge, unsigned slot);
/* Harmless where there is none. */
void way_out_remove(struct link_ctx *links, const char *bridge, unsigned slot);
/* Of all networks, after the death of a netd. */
void way_out_remove_all(struct link_ctx *links);
