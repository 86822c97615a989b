/* SPDX-License-Identifier: Apache-2.0 */
/* orphans.h - what a dead netd has left when its journal is lost, too.
 *
 * Somebody has emptied the state directory under a running netd, which was then killed. Its
 * helpers go on, and VMs have their network as before; but nobody knows any more which networks
 * these are. So they are left alone as long as a VM may need them, and then ended, and with
 * them all they have made.
 *
 * They are known by what they were called with: netd's own state directory.
 */
#pragma once
#include "anchor.h"

/* In the host's namespaces. directory: netd's. born: of the netd that asks; its own helpers are
 * younger. uplink: the other user of some of them; 0: there is none. Returns whether any had to be
 * left alone. */
bool orphans_sweep(const char *directory, uint64_t born, uid_t uplink);
