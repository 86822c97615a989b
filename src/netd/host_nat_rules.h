/* SPDX-License-Identifier: Apache-2.0 */
/* host_nat_rules.h - what the kernel uplink needs of the host's nftables: a table of our own,
 * `inet vmnet_broker_uplink`. Nobody else's is touched.
 *
 *   forward, leaving
 *            what comes from our cable passes on if it has the cable's address, and never to
 *            another network of ours; to the cable go answers only. Links whose forwarding was
 *            switched on for these answers forward nothing else: the host is no more of a router
 *            than it was. Connections that have ended are soon forgotten: they do not count as
 *            a guest's (router_rules.c), and the kernel keeps them for two minutes otherwise: who
 *            opens and closes 2,200 a second would fill what all the host's programs share
 *   nat      what leaves has the host's address
 *   probe, probed
 *            while probes are sent, the very last: counts the probe, and drops it. At other times
 *            the host's packets do not come by here, which would cost each of them a look
 *   host     likewise of what guests send to the host: the last of its input drops the probe
 *   late     a probe that was held up until then goes no further either
 *   trace    while it is asked who drops the probe: the kernel is to tell
 *
 * An accept here overrides nobody's drop: every other table is asked as well. That is why the
 * probe is needed. Composing is pure; host_nat.c runs the text.
 */
#pragma once
#include "nft_text.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_NAT_TABLE "inet vmnet_broker_uplink"
#define HOST_NAT_LINK  "vmbup" /* the host's end of the cable */

/* Nobody has these: RFC 5737 (documentation), RFC 6666 (discard only). */
#define PROBE4     "192.0.2.1"
#define PROBE6     "100::1"
#define PROBE_PORT 9 /* discard */

#define HOST_NAT_LINKS_MAX 24u

struct link_names {
    char name[HOST_NAT_LINKS_MAX][IFNAMSIZ];
    uint32_t n;
};

/* Ended, of plain characters, and neither loopback nor ours: fit for rules and paths. */
bool host_nat_name_ok(const char name[static IFNAMSIZ]);
bool host_nat_names_ok(const struct link_names *links);

struct host_nat_rules {
    uint32_t transit;        /* transit.h */
    struct link_names only4; /* these forward for us only, in IPv4 ... */
    struct link_names only6; /* ... and in IPv6 */
    bool timeouts;           /* the kernel has what host_nat_timeouts_try needs */
};

/* In the place of what there is; one transaction. */
void host_nat_rules_text(const struct host_nat_rules *rules, struct nft_text *text);
/* Takes it away, there or not. */
extern const char host_nat_rules_end[];
/* Accepted by kernels that know `ct timeout`; leaves nothing. */
extern const char host_nat_timeouts_try[];
/* Probes are counted, or no longer; they are traced, or no longer. */
extern const char host_nat_probes_on[], host_nat_probes_off[];
extern const char host_nat_trace_on[], host_nat_trace_off[];
