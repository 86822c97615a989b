/* SPDX-License-Identifier: Apache-2.0 */
/* backend_vmnet.h - networks by macOS 26's vmnet.framework.
 *
 * A network exists as long as this process keeps a vmnet_network_ref; there is
 * nothing to adopt after a restart and nothing to sweep. The broker never starts
 * an interface itself: clients do that with the serialization.
 *
 * While a network exists, or is being created, a launchd transaction is open:
 * launchd must not kill a broker that VMs depend on, and may reclaim an idle one.
 */
#pragma once
#include "backend.h"

/* Returns 0 or -ENOMEM. */
int backend_vmnet_new(struct backend *ret);
