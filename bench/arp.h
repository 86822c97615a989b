/* SPDX-License-Identifier: Apache-2.0 */
/* arp.h - as much ARP as a guest needs to reach its gateway, on a TAP with a vnet header. */
#pragma once
#include "tcp_frame.h"

/* The MAC of the neighbour `ip`; gives up after a while. */
struct mac arp_ask(int tap, const struct tcp_end *me, uint32_t ip);
/* Answers if these bytes ask for me. */
void arp_answer(int tap, const struct tcp_end *me, const uint8_t *bytes, size_t len);
