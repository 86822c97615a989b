/* SPDX-License-Identifier: Apache-2.0 */
/* dhcp.h - ask for an address on a TAP until somebody offers one. */
#pragma once
#include "addr.h"

/* Sends a DISCOVER each millisecond on a TAP with vnet header; returns when an
 * OFFER for mac has come, gives up after 5 s. */
void dhcp_await_offer(int tap, struct mac mac);
