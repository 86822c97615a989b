/* SPDX-License-Identifier: Apache-2.0 */
/* host_nat_rules.c - see host_nat_rules.h. */
#include "host_nat_rules.h"

#include "addr.h"
#include "names.h"
#include "transit.h"

#include <stdio.h>
#include <string.h>

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

/* Adding what is there already fails no transaction; so it is added before it is deleted. */
#define NO_TABLE "add table " HOST_NAT_TABLE "\ndelete table " HOST_NAT_TABLE "\n"

/* In front of everything that could drop it. */
#define NO_TRACE                                                                                   \
    "add chain " HOST_NAT_TABLE " trace { type filter hook prerouting priority -500; }\n"          \
    "flush chain " HOST_NAT_TABLE " trace\n"

#define TRACE(daddr)                                                                               \
    "add rule " HOST_NAT_TABLE " trace iifname " HOST_NAT_LINK " " daddr                           \
    " udp dport " TEXT(PROBE_PORT) " meta nftrace set 1\n"

/* From the discard service to the discard service: nobody else does that. */
#define HOST_PROBE                                                                                 \
    "iifname " HOST_LINKS " udp sport " TEXT(PROBE_PORT) " udp dport " TEXT(PROBE_PORT)
#define TRACE_HOST "add rule " HOST_NAT_TABLE " trace " HOST_PROBE " meta nftrace set 1\n"

/* A probe that was held up until nobody counts it. */
#define LATE4 "ip daddr " PROBE4 " drop\n"
#define LATE6 "ip6 daddr " PROBE6 " drop\n"

#define NO_PROBES                                                                                  \
    "add chain " HOST_NAT_TABLE " probe { type filter hook postrouting priority 2147483647; }\n"   \
    "add chain " HOST_NAT_TABLE " host { type filter hook input priority 2147483647; }\n"          \
    "flush chain " HOST_NAT_TABLE " probe\n"                                                       \
    "flush chain " HOST_NAT_TABLE " host\n"                                                        \
    "flush chain " HOST_NAT_TABLE " late\n"

/* In seconds; 120 and 10 are usual. A late copy of a last segment is answered by a reset. */
#define ENDED "policy = { time_wait : 5, close : 1 };"

const char host_nat_timeouts_try[] = "table inet vmnet_broker_try {\n"
                                     "  ct timeout ended4 { protocol tcp; l3proto ip; " ENDED " }\n"
                                     "  chain ended { ct timeout set \"ended4\"; }\n"
                                     "}\n"
                                     "delete table inet vmnet_broker_try\n";

const char host_nat_rules_end[] = NO_TABLE;
const char host_nat_probes_on[] =
    NO_PROBES "add rule " HOST_NAT_TABLE " probe meta l4proto udp goto probed\n" /* not TCP */
              "add rule " HOST_NAT_TABLE " host " HOST_PROBE " drop\n";
const char host_nat_probes_off[] =
    NO_PROBES "delete chain " HOST_NAT_TABLE " probe\n"
              "delete chain " HOST_NAT_TABLE " host\n"
              "add rule " HOST_NAT_TABLE " late " LATE4 "add rule " HOST_NAT_TABLE " late " LATE6;
const char host_nat_trace_on[] =
    NO_TRACE TRACE("ip daddr " PROBE4) TRACE("ip6 daddr " PROBE6) TRACE_HOST;
const char host_nat_trace_off[] = NO_TRACE "delete chain " HOST_NAT_TABLE " trace\n";

bool host_nat_name_ok(const char name[static IFNAMSIZ])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strnlen(name, IFNAMSIZ);

    /* Nearly any character may be in a name. Whoever calls a link so has it left alone. */
    return len > 0 && len < IFNAMSIZ && strspn(name, plain) == len && strcmp(name, "lo") != 0 &&
           strcmp(name, "all") != 0 && strcmp(name, "default") != 0 && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0 && strncmp(name, HOST_LINK, strlen(HOST_LINK)) != 0;
}

bool host_nat_names_ok(const struct link_names *links)
{
    if (links->n > HOST_NAT_LINKS_MAX)
        return false;
    for (uint32_t i = 0; i < links->n; i++)
        if (!host_nat_name_ok(links->name[i]))
            return false;
    return true;
}

/* Before the connection is known for good, which is behind the last of the host's rules. */
static const char ended[] =
    "    ct state new meta l4proto tcp meta nfproto ipv4 ct timeout set \"ended4\"\n"
    "    ct state new meta l4proto tcp meta nfproto ipv6 ct timeout set \"ended6\"\n";

static void put_forward(struct nft_text *t, const char *inside4, const char *inside6, bool timeouts)
{
    nft_text_add(t,
                 "  set only4 { type ifname; }\n"
                 "  set only6 { type ifname; }\n"
                 "  chain late {\n" LATE4 LATE6 "  }\n"
                 "  chain leaving {\n"
                 "    ip saddr != %s drop\n"
                 "    ip6 saddr != %s drop\n"
                 /* Networks never reach each other, neither over the host. */
                 "    oifname " HOST_LINKS " drop\n"
                 "    ct state invalid drop\n" /* would not be masqueraded */
                 "    jump late\n"
                 "%s"
                 "    accept\n"
                 "  }\n"
                 "  chain forward {\n"
                 "    type filter hook forward priority -10; policy accept;\n"
                 /* Whatever was begun has been asked all of this. */
                 "    ct state established,related accept\n"
                 "    iifname " HOST_NAT_LINK " goto leaving\n"
                 "    oifname " HOST_NAT_LINK " drop\n"
                 "    meta nfproto ipv4 iifname @only4 drop\n"
                 "    meta nfproto ipv6 iifname @only6 drop\n"
                 "  }\n",
                 inside4, inside6, timeouts ? ended : "");
}

static void put_nat(struct nft_text *t, const char *inside4, const char *inside6)
{
    nft_text_add(t,
                 "  chain nat {\n"
                 "    type nat hook postrouting priority srcnat; policy accept;\n"
                 "    ip saddr %s masquerade\n"
                 "    ip6 saddr %s masquerade\n"
                 "  }\n",
                 inside4, inside6);
}

/* Where somebody has exempted it from connection tracking, it still has its own address. */
static void put_probe(struct nft_text *t, const char *inside4, const char *inside6)
{
    nft_text_add(t,
                 "  counter probe4 { }\n"
                 "  counter probe6 { }\n"
                 "  chain probed {\n"
                 "    ip daddr " PROBE4 " ct original ip saddr %s counter name probe4 drop\n"
                 "    ip daddr " PROBE4 " ip saddr %s counter name probe4 drop\n"
                 "    ip6 daddr " PROBE6 " ct original ip6 saddr %s counter name probe6 drop\n"
                 "    ip6 daddr " PROBE6 " ip6 saddr %s counter name probe6 drop\n"
                 "  }\n",
                 inside4, inside4, inside6, inside6);
}

static void put_links(struct nft_text *t, const char *set, const struct link_names *links)
{
    for (uint32_t i = 0; i < links->n && i < HOST_NAT_LINKS_MAX; i++)
        nft_text_add(t, "add element " HOST_NAT_TABLE " %s { \"%s\" }\n", set, links->name[i]);
}

void host_nat_rules_text(const struct host_nat_rules *rules, struct nft_text *t)
{
    char inside4[ADDR4_TEXT], inside6[ADDR6_TEXT];
    uint8_t addr6[16];

    addr4_format(transit_inside(rules->transit), inside4);
    transit6_inside(addr6);
    addr6_format(addr6, inside6);
    nft_text_add(t, "%s", NO_TABLE "table " HOST_NAT_TABLE " {\n");
    if (rules->timeouts)
        nft_text_add(t, "  ct timeout ended4 { protocol tcp; l3proto ip; " ENDED " }\n"
                        "  ct timeout ended6 { protocol tcp; l3proto ip6; " ENDED " }\n");
    put_forward(t, inside4, inside6, rules->timeouts);
    put_nat(t, inside4, inside6);
    put_probe(t, inside4, inside6);
    nft_text_add(t, "}\n");
    put_links(t, "only4", &rules->only4);
    put_links(t, "only6", &rules->only6);
}
