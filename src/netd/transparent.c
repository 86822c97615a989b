/* SPDX-License-Identifier: Apache-2.0 */
/* transparent.c - see transparent.h. As `ip rule add fwmark 1 pref 1000 lookup 100` and `ip route
 * add local default dev lo table 100` would do it. */
#include "transparent.h"

#include "router.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#define TABLE    100
#define PRIORITY 1000 /* before any rule about the link that a packet came by */

static struct nl_msg *message(int type, const void *head, size_t size)
{
    struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);

    if (msg && nlmsg_append(msg, (void *)(uintptr_t)head, size, NLMSG_ALIGNTO) < 0) {
        nlmsg_free(msg);
        return NULL;
    }
    return msg;
}

static int add_rule(struct link_ctx *links, uint8_t family)
{
    const struct fib_rule_hdr head = { .family = family, .table = TABLE, .action = FR_ACT_TO_TBL };
    struct nl_msg *msg = message(RTM_NEWRULE, &head, sizeof head);

    return link_request(links, msg,
                        msg && (nla_put_u32(msg, FRA_FWMARK, FORWARDED_MARK) < 0 ||
                                nla_put_u32(msg, FRA_PRIORITY, PRIORITY) < 0 ||
                                nla_put_u32(msg, FRA_TABLE, TABLE) < 0));
}

static int add_route(struct link_ctx *links, uint8_t family, int lo)
{
    const struct rtmsg head = { .rtm_family = family,
                                .rtm_table = TABLE,
                                .rtm_protocol = RTPROT_STATIC,
                                .rtm_scope = RT_SCOPE_HOST,
                                .rtm_type = RTN_LOCAL };
    struct nl_msg *msg = message(RTM_NEWROUTE, &head, sizeof head);

    return link_request(links, msg, msg && nla_put_u32(msg, RTA_OIF, (uint32_t)lo) < 0);
}

int transparent_route(struct link_ctx *links)
{
    static const uint8_t families[] = { AF_INET, AF_INET6 };
    int lo = link_index(links, "lo"), r = lo < 0 ? lo : 0;

    for (size_t i = 0; r == 0 && i < sizeof families; i++) {
        r = add_rule(links, families[i]);
        if (r == 0 || r == -EEXIST) /* an earlier netd's */
            r = add_route(links, families[i], lo);
        if (r == -EEXIST || (r == -EAFNOSUPPORT && families[i] == AF_INET6))
            r = 0;
    }
    return r;
}
