/* SPDX-License-Identifier: Apache-2.0 */
/* filter.h - the frame filter: what a guest may put on its network's wire.
 *
 * One nftables table, `bridge vmnet`. A port that the filter has not been told of
 * passes nothing; frames that it drops are counted per port.
 */
#pragma once
#include "netd_msg.h"
#include "nft.h"

/* The table, afresh: ports and networks of an earlier life are forgotten. */
int filter_init(struct nft *nft);
/* host: the host is on it, by its port (names.h); both calls must see the same. */
int filter_add_network(struct nft *nft, uint32_t index, const struct netd_network *net, bool host);
/* After its ports. */
int filter_remove_network(struct nft *nft, uint32_t index, const struct netd_network *net,
                          bool host);
/* After its links, which may have sent something until then. */
int filter_forget_host_drops(struct nft *nft, uint32_t index);
/* net: the network with this index; both calls must see the same. */
int filter_add_port(struct nft *nft, uint32_t index, const struct netd_network *net,
                    const struct netd_interface *port);
int filter_remove_port(struct nft *nft, uint32_t index, const struct netd_network *net,
                       const struct netd_interface *port);

/* Calls each() with every port's count. */
int filter_drops(struct nft *nft, void (*each)(void *arg, const char *tap, uint64_t packets),
                 void *arg);
