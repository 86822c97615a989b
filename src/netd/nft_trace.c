/* SPDX-License-Identifier: Apache-2.0 */
/* nft_trace.c - see nft_trace.h.
 *
 * Of a packet's many messages the last one tells its end: a rule with the verdict "drop", or a
 * chain whose policy that is. A rule that stole it or queued it for a program that does not
 * answer says so with another verdict, and is as good an answer. When the last message is about
 * a chain that let it pass, it ended outside nftables.
 */
#include "nft_trace.h"

#include "fd.h"
#include "str.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int nft_trace_open(void)
{
    const int group = NFNLGRP_NFTRACE;
    const struct sockaddr_nl here = { .nl_family = AF_NETLINK };
    AUTO_FD sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);

    if (sock < 0 || bind(sock, (const struct sockaddr *)&here, sizeof here) < 0 ||
        setsockopt(sock, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
        return -errno;
    return fd_take(&sock);
}

static uint32_t number(const struct nlattr *attr)
{
    return attr && nla_len(attr) >= (int)sizeof(uint32_t) ? ntohl(nla_get_u32(attr)) : 0;
}

static uint64_t long_number(const struct nlattr *attr)
{
    return attr && nla_len(attr) >= (int)sizeof(uint64_t) ? be64toh(nla_get_u64(attr)) : 0;
}

static void take_name(char *name, size_t size, const struct nlattr *attr)
{
    *name = '\0';
    if (attr && nla_len(attr) > 0)
        (void)snprintf(name, size, "%.*s", nla_len(attr), (const char *)nla_data(attr));
}

/* The verdict of a rule, or the policy of a chain; NF_ACCEPT when there is none. */
static uint32_t verdict_of(struct nlattr *const *attrs)
{
    struct nlattr *inner[NFTA_VERDICT_MAX + 1];

    if (number(attrs[NFTA_TRACE_TYPE]) == NFT_TRACETYPE_POLICY)
        return attrs[NFTA_TRACE_POLICY] ? number(attrs[NFTA_TRACE_POLICY]) : NF_ACCEPT;
    if (!attrs[NFTA_TRACE_VERDICT] ||
        nla_parse_nested(inner, NFTA_VERDICT_MAX, attrs[NFTA_TRACE_VERDICT], NULL) < 0 ||
        !inner[NFTA_VERDICT_CODE])
        return NF_ACCEPT;
    return number(inner[NFTA_VERDICT_CODE]);
}

static bool is_end(uint32_t verdict)
{
    uint32_t kind = verdict & NF_VERDICT_MASK;

    /* Negative ones (jump, goto, continue, return) are the ruleset's inner affairs. */
    return (int32_t)verdict >= 0 && (kind == NF_DROP || kind == NF_STOLEN || kind == NF_QUEUE);
}

void nft_trace_take(const struct nlmsghdr *msg, struct nft_trace_end ret[static NFT_TRACE_FAMILIES])
{
    struct nlattr *attrs[NFTA_TRACE_MAX + 1];
    const struct nfgenmsg *head = nlmsg_data(msg);

    if (msg->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE) ||
        nlmsg_parse((struct nlmsghdr *)(uintptr_t)msg, sizeof *head, attrs, NFTA_TRACE_MAX, NULL) <
            0)
        return;
    /* Of the packet; the table's is the message's own. */
    bool six = number(attrs[NFTA_TRACE_NFPROTO]) == NFPROTO_IPV6;
    struct nft_trace_end *end = &ret[six ? NFT_TRACE_IPV6 : NFT_TRACE_IPV4];
    *end = (struct nft_trace_end){ .family = head->nfgen_family,
                                   .handle = long_number(attrs[NFTA_TRACE_RULE_HANDLE]),
                                   .dropped = is_end(verdict_of(attrs)) };
    take_name(end->table, sizeof end->table, attrs[NFTA_TRACE_TABLE]);
    take_name(end->chain, sizeof end->chain, attrs[NFTA_TRACE_CHAIN]);
}

void nft_trace_read(int sock, struct nft_trace_end ret[static NFT_TRACE_FAMILIES])
{
    _Alignas(struct nlmsghdr) char buf[16384];
    ssize_t got;

    /* Two probes cause no more than some dozens; what does not fit is lost, and with it only
     * the name of a chain. */
    for (int i = 0; i < 1024 && (got = recv(sock, buf, sizeof buf, 0)) > 0; i++) {
        int left = (int)got;

        for (struct nlmsghdr *msg = (struct nlmsghdr *)buf; nlmsg_ok(msg, left);
             msg = nlmsg_next(msg, &left))
            nft_trace_take(msg, ret);
    }
}

static const char *family_name(uint8_t family)
{
    switch (family) {
    case NFPROTO_IPV4:
        return "ip";
    case NFPROTO_IPV6:
        return "ip6";
    case NFPROTO_INET:
        return "inet";
    case NFPROTO_BRIDGE:
        return "bridge";
    case NFPROTO_NETDEV:
        return "netdev";
    default:
        return "?";
    }
}

const char *nft_trace_text(const struct nft_trace_end *end, char text[static NFT_TRACE_TEXT])
{
    const char *family = family_name(end->family);

    if (end->handle > 0)
        (void)snprintf(text, NFT_TRACE_TEXT, "%s %s %s (rule %llu)", family, end->table, end->chain,
                       (unsigned long long)end->handle);
    else
        (void)snprintf(text, NFT_TRACE_TEXT, "%s %s %s (policy drop)", family, end->table,
                       end->chain);
    return text;
}
