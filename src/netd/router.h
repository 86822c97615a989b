/* SPDX-License-Identifier: Apache-2.0 */
/* router.h - the namespace as a router: who may talk to it, and through it.
 *
 * One nftables table, `inet vmnet`. Guests reach only their own gateway's DHCP,
 * DNS and ICMP; networks never reach each other; a shared network reaches the
 * uplink, masqueraded; `host` reaches nothing. Flows that a dead uplink engine has
 * forgotten are reset at once (docs/decisions has the reasons for each rule).
 */
#pragma once
#include "addr.h"
#include "netd_msg.h"
#include "nft.h"
#include "way_out.h"

#include <stdbool.h>

/* What a VM sends to a socket of ours that has another's address (transparent.h). */
#define FORWARDED_MARK      1
#define FORWARDED_MARK_TEXT "1"
/* What came in pieces and is not for us. */
#define FRAGMENTS_MARK_TEXT "2"

int router_init(struct nft *nft);
/* Once the rules are in force, without which the kernel has no connection tracking. */
void router_forget_ended(void);
/* index: the network's (names.h). */
int router_add_network(struct nft *nft, uint32_t index, const struct way_out *way,
                       const struct netd_network *net);
int router_remove_network(struct nft *nft, uint32_t index, const struct way_out *way,
                          const struct netd_network *net);
/* It leaves by other uplinks from now on. */
int router_turn_network(struct nft *nft, uint32_t index, const struct way_out *from,
                        const struct way_out *to, const struct netd_network *net);
/* slot: the uplink (names.h) that a rule is about. */
/* A new engine has started: flows of earlier generations are dead. gen counts up from 1. */
int router_set_generation(struct nft *nft, unsigned slot, uint32_t gen);
/* Which families the host can carry outside at present. Guests are told at once
 * about the other ones. router_init() leaves both reachable. */
int router_set_reach(struct nft *nft, unsigned slot, bool ipv4, bool ipv6);
/* What the engine can carry: datagrams in IPv4 fragments, ICMPv6. */
int router_set_limits(struct nft *nft, unsigned slot, bool fragments, bool icmpv6);
/* What a guest's share was used up for. */
enum router_denied { DENIED_QUESTIONS, DENIED_FLOWS };
/* each() for every guest of whom packets were dropped for that: how many, until none has been for
 * ten minutes. */
int router_denied(struct nft *nft, enum router_denied what,
                  void (*each)(void *arg, const char *bridge, const struct mac *mac,
                               uint64_t packets),
                  void *arg);
/* Packets from guests for sockets that have others' addresses get the mark, or not. */
bool router_can_keep_sources(struct nft *nft);
int router_keep_sources(struct nft *nft, bool keep);
