/* SPDX-License-Identifier: Apache-2.0 */
/* net_handle.h - what backend_vmnet.c makes and transport_xpc.c hands out.
 *
 * The two macOS ports agree on this behind the core's back.
 */
#pragma once
#include "addr.h"

#include <sys/queue.h>
#include <vmnet/vmnet.h>
#include <xpc/xpc.h>

struct net_handle {
    TAILQ_ENTRY(net_handle) link; /* the backend's list */
    char name[64];
    vmnet_network_ref network;  /* NULL: removed, the core has not dropped it yet */
    xpc_object_t serialization; /* made once, the same for every holder */
    struct subnet4 subnet;      /* as read back after creation */
    struct prefix6 prefix6;
};
