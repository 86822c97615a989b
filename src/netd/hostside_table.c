/* SPDX-License-Identifier: Apache-2.0 */
/* hostside_table.c - what may pass between the host and guests: the table `inet vmnet_broker`.
 *
 * A guest reaches the host's address on its own network, and nothing else: not another address
 * of the host's, not another network's, no link-local or multicast service, and nowhere through
 * the host, which may well forward packets for others (Docker). What other tables of the host's
 * forbid stays forbidden: an accept here is nobody else's.
 *
 *   links      the host's links to networks
 *   hosts4/6   link . the host's address there
 *   guests4/6  link . the addresses of its guests. Without them, who may spoof (anti_spoofing
 *              "off") could have the host answer to another network
 *
 * It never touches another table, and is there only while there is a network. Somebody's
 * `nft flush ruleset` takes it away; hostside_watch.c puts it back.
 */
#include "hostside_part.h"

#include "host_nat_rules.h"
#include "mem.h"
#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Declared again without harm; rules come after. */
static const char outline_text[] =
    "table " HOSTSIDE_TABLE " {\n"
    "  set links { type ifname; }\n"
    "  set hosts4 { type ifname . ipv4_addr; }\n"
    "  set hosts6 { type ifname . ipv6_addr; }\n"
    "  set guests4 { type ifname . ipv4_addr; flags interval; }\n"
    "  set guests6 { type ifname . ipv6_addr; flags interval; }\n"
    "  chain guest { }\n"
    "  chain input { type filter hook input priority filter - 5; policy accept; }\n"
    "  chain forward { type filter hook forward priority filter - 5; policy accept; }\n"
    "}\n"
    "flush table " HOSTSIDE_TABLE "\n";

/* Neighbour discovery is what ARP is to IPv4: without it no address of its would be found. */
static const char rules_text[] =
    "table " HOSTSIDE_TABLE " {\n"
    "  chain guest {\n"
    "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
    "    icmpv6 type { nd-router-advert, nd-router-solicit, nd-redirect } drop\n"
    "    icmp type redirect drop\n"
    "    iifname . ip daddr @hosts4 iifname . ip saddr @guests4 accept\n"
    "    iifname . ip6 daddr @hosts6 iifname . ip6 saddr @guests6 accept\n"
    "    drop\n"
    "  }\n"
    "  chain input { iifname @links goto guest; }\n"
    /* All that the host forwards comes by here: for what is none of ours, two comparisons of
     * names, and two more for the kernel uplink's cable, which is no network's link. */
    "  chain forward {\n"
    "    iifname != " HOST_LINKS " oifname != " HOST_LINKS " accept\n"
    "    iifname " HOST_NAT_LINK " oifname != " HOST_LINKS " accept\n"
    "    oifname " HOST_NAT_LINK " iifname != " HOST_LINKS " accept\n"
    "    iifname @links drop\n"
    "    oifname @links drop\n"
    "  }\n"
    "}\n";

static const char *const sets[] = { "links", "hosts4", "hosts6", "guests4", "guests6" };

/* Removing an element that is not there fails the whole transaction, adding one that is there
 * does not: so what is to be removed is added first. */
static void print_element(FILE *out, bool remove, const char *set, const char *link,
                          const char *address)
{
    fprintf(out, "add element " HOSTSIDE_TABLE " %s { \"%s\"%s%s }\n", set, link,
            *address ? " . " : "", address);
    if (remove)
        fprintf(out, "delete element " HOSTSIDE_TABLE " %s { \"%s\"%s%s }\n", set, link,
                *address ? " . " : "", address);
}

static void print_link(FILE *out, bool remove, const struct host_link *link)
{
    const struct hostside_network *net = &link->net;
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    struct prefix6 prefix = { .len = net->ipv6_len };
    char text[PREFIX6_TEXT];
    uint8_t host6[16];

    print_element(out, remove, "links", link->name, "");
    print_element(out, remove, "hosts4", link->name, addr4_format(subnet4_host(subnet), text));
    print_element(out, remove, "guests4", link->name, subnet4_format(subnet, text));
    if (prefix.len == 0)
        return;
    memcpy(prefix.addr, net->ipv6, sizeof prefix.addr);
    prefix6_host(&prefix, host6);
    print_element(out, remove, "hosts6", link->name, addr6_format(host6, text));
    print_element(out, remove, "guests6", link->name, prefix6_format(&prefix, text));
}

/* ---- writing ------------------------------------------------------------------------- */

static bool any(const struct host *host)
{
    for (uint32_t i = 0; i < NETWORKS_MAX; i++)
        if (host->at[i].known)
            return true;
    return false;
}

/* What it looks like now is what it has to look like from now on. */
static void remember(struct host *host)
{
    free(take_ptr(&host->watch.table));
    if (any(host) &&
        nft_describe(host->rules, "list table " HOSTSIDE_TABLE, &host->watch.table) < 0)
        host->watch.table = NULL; /* and so it is written again */
}

/* Takes the text over, as it is when `out` is closed. */
static int run(struct host *host, FILE *out, char *const *text)
{
    int r = fclose(out) == 0 ? nft_run(host->rules, "%s", *text) : -ENOMEM;

    free(*text);
    host->watch.unwritten = r < 0;
    if (r == 0)
        remember(host);
    else
        host_watch_rules(host);
    return r;
}

static int begin(struct host *host, FILE **ret, char **text, size_t *len)
{
    *ret = open_memstream(text, len);
    host->watch.unwritten = !*ret;
    if (!*ret)
        host_watch_rules(host);
    return *ret ? 0 : -ENOMEM;
}

int host_table_add(struct host *host, const struct host_link *link)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out;
    int r = begin(host, &out, &text, &len);

    if (r < 0)
        return r;
    fprintf(out, "%s%s", outline_text, rules_text);
    print_link(out, false, link);
    return run(host, out, &text);
}

int host_table_remove(struct host *host, const struct host_link *link)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out;
    int r;

    if (!any(host))
        return host_table_write(host);
    r = begin(host, &out, &text, &len);
    if (r < 0)
        return r;
    fprintf(out, "%s%s", outline_text, rules_text);
    print_link(out, true, link);
    return run(host, out, &text);
}

int host_table_write(struct host *host)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out;
    int r = begin(host, &out, &text, &len);

    if (r < 0)
        return r;
    if (any(host)) {
        fprintf(out, "%s", outline_text);
        for (size_t i = 0; i < N_ELEMENTS(sets); i++)
            fprintf(out, "flush set " HOSTSIDE_TABLE " %s\n", sets[i]);
        fprintf(out, "%s", rules_text);
        FOREACH_HOST_LINK(link, host)
        print_link(out, false, link);
    } else {
        fprintf(out, "add table " HOSTSIDE_TABLE "\ndelete table " HOSTSIDE_TABLE "\n");
    }
    return run(host, out, &text);
}

bool host_table_is_ours(struct host *host)
{
    AUTO_FREE char *now = NULL;

    if (host->watch.unwritten || !any(host))
        return !host->watch.unwritten;
    return host->watch.table &&
           nft_describe(host->rules, "list table " HOSTSIDE_TABLE, &now) == 0 &&
           strcmp(now, host->watch.table) == 0;
}
