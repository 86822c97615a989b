/* SPDX-License-Identifier: Apache-2.0 */
/* link.h - network links through rtnetlink: the few operations that netd needs.
 *
 * Everything acts in the namespace that the process is in. All return 0 or a
 * negative errno and log nothing. Removing what is not there gives -ENODEV.
 */
#pragma once
#include "addr.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes of a message from the kernel; its own limit is 16384 for one link. */
#define LINK_MESSAGE_MAX 32768

struct link_ctx; /* one rtnetlink socket */

int link_open(struct link_ctx **ret);
void link_close(struct link_ctx *ctx);

/* Sends any message to rtnetlink and waits for the kernel's word on it. Takes it over. bad:
 * one of the attributes did not fit, and the message is void. */
struct nl_msg;
int link_request(struct link_ctx *ctx, struct nl_msg *msg, bool bad);
/* The same for a question: on_answer, an NL_CB_VALID, is called before. */
int link_ask(struct link_ctx *ctx, struct nl_msg *msg, bool bad,
             int (*on_answer)(struct nl_msg *msg, void *arg), void *arg);

/* The link's number, always above 0. if_nametoindex() makes a socket for each question,
 * which takes 15 times as long, and cannot tell "none" from "no descriptor left". */
int link_index(struct link_ctx *ctx, const char *name);

/* The other way round. */
int link_name(struct link_ctx *ctx, uint32_t index, char name[static IFNAMSIZ]);

/* For whoever completes what may be there already: what exists counts as made. */
static inline int link_made(int r)
{
    return r == -EEXIST ? 0 : r;
}

/* A bridge with its MAC pinned (a bridge without one takes over a port's), no
 * spanning tree, no multicast snooping, in interface group `group`. Left down. */
int link_add_bridge(struct link_ctx *ctx, const char *name, struct mac mac, unsigned mtu,
                    uint32_t group);
int link_add_addr4(struct link_ctx *ctx, const char *name, uint32_t addr, unsigned prefix);
/* Without duplicate address detection: the address is ours by construction. */
int link_add_addr6(struct link_ctx *ctx, const char *name, const uint8_t addr[16], unsigned len);
int link_delete_addr4(struct link_ctx *ctx, const char *name, uint32_t addr, unsigned prefix);
int link_delete_addr6(struct link_ctx *ctx, const char *name, const uint8_t addr[16], unsigned len);
/* table: RT_TABLE_MAIN, or one of our own. */
int link_add_default4(struct link_ctx *ctx, const char *name, uint32_t via, uint32_t table);
int link_add_default6(struct link_ctx *ctx, const char *name, const uint8_t via[16],
                      uint32_t table);
int link_set_up(struct link_ctx *ctx, const char *name);
/* master NULL: none. */
int link_set_port(struct link_ctx *ctx, const char *name, const char *master, unsigned mtu,
                  uint32_t group);
/* The link `index` gets its MAC, becomes a port of the bridge `bridge` and, if it shall, goes
 * up, in one message: half the time of two. */
int link_plug(struct link_ctx *ctx, int index, int bridge, unsigned mtu, uint32_t group,
              struct mac mac, bool up);
/* Of a bridge's port: frames for a MAC that the bridge does not know are not copied to it. So the
 * bridge has to know its own, even if its guest is silent for long. */
int link_refuse_floods(struct link_ctx *ctx, int index);
int link_pin_mac(struct link_ctx *ctx, int index, const uint8_t mac[static 6]);
int link_mac(struct link_ctx *ctx, const char *name, struct mac *ret);
/* Unless it has it, whereupon the kernel would forget its neighbours, and tell everybody. 1: it
 * had another. */
int link_keep_mac(struct link_ctx *ctx, const char *name, struct mac mac);
int link_set_txqueuelen(struct link_ctx *ctx, const char *name, unsigned frames);
int link_set_group(struct link_ctx *ctx, const char *name, uint32_t group);
/* A device that gives back what it is given, in so many queues of up to `frames`. Left down. */
int link_add_ifb(struct link_ctx *ctx, const char *name, uint32_t group, unsigned frames,
                 unsigned queues);
/* What leaves by it must have its checksum. */
int link_refuse_checksums(struct link_ctx *ctx, const char *name);
int link_delete(struct link_ctx *ctx, const char *name);
int link_delete_index(struct link_ctx *ctx, int index); /* a name may be another's by now */
/* One RTM_DELLINK for all links of a group: 50 TAPs in 33 ms instead of 842. */
int link_delete_group(struct link_ctx *ctx, uint32_t group);

/* Creates a TAP. queues > 1: multi_queue. ret_fds: one descriptor per queue, the
 * caller's, close-on-exec. Where more than one descriptor can be attached, nobody but our user
 * may attach one. On error nothing is left. */
int tap_create(const char *name, unsigned queues, bool vnet_hdr, int *ret_fds);
/* From now on it outlives its descriptors, of which fd is one, and our user may attach others. */
int tap_keep(int fd);

/* By this link `who` has this MAC, for good: nobody is asked. 1: it was not so. */
int link_keep_neighbour(struct link_ctx *ctx, const char *name, const struct address *who,
                        struct mac mac);

/* The kernel asks for this address now, although there is nothing to send. */
int link_ask_neighbour4(struct link_ctx *ctx, const char *name, uint32_t addr);

/* From the link's own side: rx is what it received, that is, what a VM sent. */
struct link_counters {
    uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
};
int link_stats(struct link_ctx *ctx, const char *name, struct link_counters *ret);

/* A non-blocking socket that hears of every link that goes away, and of nothing else.
 * Reading it calls gone() for one or more. Negative: some may have been missed, and all
 * of those are gone by now: look for yourself. */
int link_monitor_open(void);
int link_monitor_read(int fd, void (*gone)(void *arg, int ifindex), void *arg);
