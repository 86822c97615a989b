/* SPDX-License-Identifier: Apache-2.0 */
/* nft_trace.h - which rule or policy of the host's drops a packet of ours.
 *
 * The kernel tells on request through how many chains a packet went and what each said
 * (`meta nftrace set 1`, and a listener). We ask that of our own probes only.
 */
#pragma once
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

/* Where a packet ended, or how far it was seen. */
struct nft_trace_end {
    uint8_t family; /* NFPROTO_*: of the table; 0: it was seen nowhere */
    char table[32], chain[32];
    uint64_t handle; /* of the rule; 0: the chain's policy did it */
    bool dropped;    /* false: this is only the last chain that let it pass */
};

/* A socket that hears of traced packets in this namespace, non-blocking. Needs CAP_NET_ADMIN
 * over it. Or a negative errno. */
int nft_trace_open(void);
/* Reads what there is, and keeps of it how a packet ended. The last one of a family counts. */
enum { NFT_TRACE_IPV4, NFT_TRACE_IPV6, NFT_TRACE_FAMILIES };
void nft_trace_read(int sock, struct nft_trace_end ret[static NFT_TRACE_FAMILIES]);

/* One message; for nft_trace_read() and its tests. */
void nft_trace_take(const struct nlmsghdr *msg,
                    struct nft_trace_end ret[static NFT_TRACE_FAMILIES]);

/* "ip filter FORWARD (policy drop)", "inet filter forward (rule 12)" */
#define NFT_TRACE_TEXT 112
const char *nft_trace_text(const struct nft_trace_end *end, char text[static NFT_TRACE_TEXT]);
