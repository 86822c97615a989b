/* SPDX-License-Identifier: Apache-2.0 */
/* bare.h - the parts alone, to measure against.
 *
 * The servers do no more than receive and send as many bytes as the broker does.
 * The network is a bridge with an address, one masquerading ruleset and a dnsmasq,
 * with the library calls that netd uses, in a namespace of their own.
 */
#pragma once
#include "addr.h"

#include <stddef.h>

/* Forks a server that answers every NUL-ended request with reply_len bytes, on a
 * socket at path. Returns its pid; end it with bare_end(). */
int bare_server_start(const char *path, size_t reply_len);
void bare_end(int pid);

/* In a child with a network namespace of its own that does, on request, one thing
 * and answers with the microseconds it took. */
struct bare_net;
struct bare_net *bare_net_start(void);
double bare_net_first_offer(struct bare_net *net); /* bridge, rules, dnsmasq, DHCP offer */
double bare_net_tap(struct bare_net *net);         /* TAP create, attach, up */
void bare_net_stop(struct bare_net *net);

/* Moves this process to a network namespace of its own, which lasts as long as the TAPs: so many on
 * such a bridge. detour: what they send takes netd's detour (src/netd/detour.h). */
void bare_bridge_enter(bool detour, int *taps, size_t n);
