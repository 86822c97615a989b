/* SPDX-License-Identifier: Apache-2.0 */
/* Who dropped a packet, from what the kernel tells of its way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem.h"
#include "nft_trace.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

/* What one chain says. */
struct word {
    uint8_t family;
    const char *table, *chain; /* NULL: no more words */
    uint64_t handle;           /* 0: the policy */
    int verdict;
    uint32_t packet; /* NFPROTO_IPV4 or _IPV6 */
};

#define V4 NFPROTO_IPV4
#define V6 NFPROTO_IPV6

static const struct story {
    const char *title;
    struct word words[4];
    const char *expect4, *expect6; /* NULL: not dropped */
} stories[] = {
    { "Docker's policy",
      { { NFPROTO_INET, "vmnet_broker_uplink", "forward", 9, NF_ACCEPT, V4 },
        { NFPROTO_IPV4, "filter", "FORWARD", 0, NF_DROP, V4 } },
      "ip filter FORWARD (policy drop)",
      NULL },
    { "a rule, after jumps",
      { { NFPROTO_INET, "filter", "forward", 3, NFT_JUMP, V4 },
        { NFPROTO_INET, "filter", "lan", 12, NF_DROP, V4 } },
      "inet filter lan (rule 12)",
      NULL },
    { "a program that does not answer",
      { { NFPROTO_INET, "ids", "forward", 5, NF_QUEUE | 3 << 16, V4 } },
      "inet ids forward (rule 5)",
      NULL },
    { "IPv6 is dropped, IPv4 is not",
      { { NFPROTO_IPV6, "filter", "FORWARD", 0, NF_DROP, V6 },
        { NFPROTO_IPV4, "filter", "FORWARD", 0, NF_ACCEPT, V4 } },
      NULL,
      "ip6 filter FORWARD (policy drop)" },
    { "a program gives back what it was asked about",
      { { NFPROTO_INET, "ids", "forward", 5, NF_QUEUE, V4 },
        { NFPROTO_INET, "filter", "forward", 0, NF_ACCEPT, V4 } },
      NULL,
      NULL },
    { "all let it pass", { { NFPROTO_IPV4, "filter", "FORWARD", 0, NF_ACCEPT, V4 } }, NULL, NULL },
    { "nobody saw it", { { 0 } }, NULL, NULL },
};

static struct nl_msg *message_of(const struct word *w)
{
    const struct nfgenmsg head = { .nfgen_family = w->family };
    struct nl_msg *msg = nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE, 0);

    assert_non_null(msg);
    nlmsg_append(msg, (void *)(uintptr_t)&head, sizeof head, NLMSG_ALIGNTO);
    nla_put_string(msg, NFTA_TRACE_TABLE, w->table);
    nla_put_string(msg, NFTA_TRACE_CHAIN, w->chain);
    nla_put_u32(msg, NFTA_TRACE_NFPROTO, htonl(w->packet));
    if (w->handle > 0) {
        struct nlattr *verdict;
        nla_put_u32(msg, NFTA_TRACE_TYPE, htonl(NFT_TRACETYPE_RULE));
        nla_put_u64(msg, NFTA_TRACE_RULE_HANDLE, htobe64(w->handle));
        verdict = nla_nest_start(msg, NFTA_TRACE_VERDICT);
        nla_put_u32(msg, NFTA_VERDICT_CODE, htonl((uint32_t)w->verdict));
        nla_nest_end(msg, verdict);
    } else {
        nla_put_u32(msg, NFTA_TRACE_TYPE, htonl(NFT_TRACETYPE_POLICY));
        nla_put_u32(msg, NFTA_TRACE_POLICY, htonl((uint32_t)w->verdict));
    }
    return msg;
}

static void check(const char *title, const struct nft_trace_end *end, const char *expect)
{
    char text[NFT_TRACE_TEXT];

    if (end->dropped != (expect != NULL))
        fail_msg("%s: dropped is %d", title, end->dropped);
    if (expect && strcmp(nft_trace_text(end, text), expect) != 0)
        fail_msg("%s: %s instead of %s", title, text, expect);
}

static void who_dropped_it_is_named(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(stories); i++) {
        const struct story *s = &stories[i];
        struct nft_trace_end end[NFT_TRACE_FAMILIES] = { 0 };

        for (size_t k = 0; k < N_ELEMENTS(s->words) && s->words[k].table; k++) {
            struct nl_msg *msg = message_of(&s->words[k]);
            nft_trace_take(nlmsg_hdr(msg), end);
            nlmsg_free(msg);
        }
        check(s->title, &end[NFT_TRACE_IPV4], s->expect4);
        check(s->title, &end[NFT_TRACE_IPV6], s->expect6);
    }
}

static void what_is_no_trace_is_passed_over(void **unused)
{
    struct nft_trace_end end[NFT_TRACE_FAMILIES] = { 0 };
    struct nl_msg *msg = nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN, 0);

    (void)unused;
    assert_non_null(msg);
    nft_trace_take(nlmsg_hdr(msg), end);
    nlmsg_free(msg);
    msg = nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE, 0); /* cut off */
    assert_non_null(msg);
    nft_trace_take(nlmsg_hdr(msg), end);
    nlmsg_free(msg);
    assert_int_equal(end[NFT_TRACE_IPV4].family, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_dropped_it_is_named),
        cmocka_unit_test(what_is_no_trace_is_passed_over),
    };
    return cmocka_run_group_tests_name("nft_trace", tests, NULL, NULL);
}
