/* SPDX-License-Identifier: Apache-2.0 */
/* relay.h - the unprivileged process that carries DNS out of the namespace.
 *
 * It lives in the host's namespace and works on sockets that netd made inside and
 * passed to it: what dnsmasq asks at 127.0.0.54:53 it carries to the host's own
 * resolver, or to servers that it was given, wherever those listen and whatever becomes
 * of the uplink. It moves bytes and parses nothing that a guest sent.
 */
#pragma once
#include "confine.h"

#include <stdint.h>
#include <sys/types.h>

#define RELAY_DNS_ADDRESS 0x7f000036u /* 127.0.0.54 */

/* Inside the namespace: the two sockets for the relay. 0 or a negative errno. */
int relay_open_sockets(uint32_t address, int *ret_udp, int *ret_tcp);

/* The process itself; never returns. Takes over the descriptors. servers: where it reads once
 * whom to ask, as in a resolv.conf; -1: the host's resolver, whoever that is at the moment. */
_Noreturn void relay_main(int udp, int tcp, int servers);

/* What it does besides being a C program with an event loop that reads files. */
extern const struct call_rule relay_calls[];
/* What it does from now on, and no more. 0 or a negative errno. */
int relay_confine(void);
