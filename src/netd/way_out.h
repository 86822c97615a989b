/* SPDX-License-Identifier: Apache-2.0 */
/* way_out.h - by which uplink a network's packets leave.
 *
 * The main uplink (names.h) has the main table's default route, which is everybody's. For each
 * other one there is a table with a default route of its own (uplink_tap.c, kernel_uplink_make.c),
 * and a rule a network, which sends there what came by its bridge. What the main table knows better
 * than by a default route (our own networks) goes that way first, and is dropped as ever.
 */
#pragma once
#include "link.h"

/* An uplink (names.h) for each family: where the host's kernel forwards IPv4 only, IPv6 has an
 * engine at the same time. */
struct way_out {
    unsigned slot4, slot6;
};

/* For the main uplink there is nothing to do. 0 or a negative errno. */
int way_out_add(struct link_ctx *links, unsigned main_slot, const char *bridge,
                const struct way_out *way);
/* But for what it has in common with `kept` (NULL: nothing). Harmless where there is none. */
void way_out_remove(struct link_ctx *links, unsigned main_slot, const char *bridge,
                    const struct way_out *way, const struct way_out *kept);
/* Of all networks, after the death of a netd. */
void way_out_remove_all(struct link_ctx *links);
