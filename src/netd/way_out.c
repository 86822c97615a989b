/* SPDX-License-Identifier: Apache-2.0 */
/* way_out.c - see way_out.h. As `ip rule add pref 20000 iif vb3 lookup 202` would do it, and
 * once `ip rule add pref 19000 lookup main suppress_prefixlength 0`. */
#include "way_out.h"

#include "names.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#define PRIORITY_OURS 19000 /* our own networks */
#define PRIORITY_WAY  20000

struct rule {
    uint32_t priority, table;
    const char *bridge; /* by which it came; NULL: any */
    bool only_ours;
};

static int change(struct link_ctx *links, int type, uint8_t family, const struct rule *rule)
{
    const struct fib_rule_hdr head = { .family = family,
                                       .table = (uint8_t)rule->table,
                                       .action = FR_ACT_TO_TBL };
    struct nl_msg *msg = nlmsg_alloc_simple(
        type, NLM_F_REQUEST | (type == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0));
    bool bad = false;

    if (!msg)
        return -ENOMEM;
    bad |= nlmsg_append(msg, (void *)(uintptr_t)&head, sizeof head, NLMSG_ALIGNTO) < 0;
    bad |= nla_put_u32(msg, FRA_PRIORITY, rule->priority) < 0;
    bad |= rule->table && nla_put_u32(msg, FRA_TABLE, rule->table) < 0;
    bad |= rule->bridge && nla_put_string(msg, FRA_IIFNAME, rule->bridge) < 0;
    bad |= rule->only_ours && nla_put_u32(msg, FRA_SUPPRESS_PREFIXLEN, 0) < 0;
    return link_request(links, msg, bad);
}

/* What is there already, and a family that the kernel lacks, are as good. */
static int change_one(struct link_ctx *links, int type, uint8_t family, const struct rule *rule)
{
    int r = change(links, type, family, rule);

    return r == -EEXIST || (r == -EAFNOSUPPORT && family == AF_INET6) ? 0 : r;
}

static int change_way(struct link_ctx *links, int type, uint8_t family, const char *bridge,
                      uint32_t table)
{
    const struct rule way = { .priority = PRIORITY_WAY, .table = table, .bridge = bridge };

    return table == RT_TABLE_MAIN ? 0 : change_one(links, type, family, &way);
}

static int add_way(struct link_ctx *links, uint8_t family, const char *bridge, uint32_t table)
{
    static const struct rule ours = { .priority = PRIORITY_OURS,
                                      .table = RT_TABLE_MAIN,
                                      .only_ours = true };
    int r = table == RT_TABLE_MAIN ? 0 : change_one(links, RTM_NEWRULE, family, &ours);

    return r < 0 ? r : change_way(links, RTM_NEWRULE, family, bridge, table);
}

int way_out_add(struct link_ctx *links, unsigned main_slot, const char *bridge,
                const struct way_out *way)
{
    int r = add_way(links, AF_INET, bridge, uplink_table(way->slot4, main_slot));

    return r < 0 ? r : add_way(links, AF_INET6, bridge, uplink_table(way->slot6, main_slot));
}

void way_out_remove(struct link_ctx *links, unsigned main_slot, const char *bridge,
                    const struct way_out *way, const struct way_out *kept)
{
    if (!kept || kept->slot4 != way->slot4)
        (void)change_way(links, RTM_DELRULE, AF_INET, bridge, uplink_table(way->slot4, main_slot));
    if (!kept || kept->slot6 != way->slot6)
        (void)change_way(links, RTM_DELRULE, AF_INET6, bridge, uplink_table(way->slot6, main_slot));
}

void way_out_remove_all(struct link_ctx *links)
{
    static const uint8_t families[] = { AF_INET, AF_INET6 };
    const struct rule any = { .priority = PRIORITY_WAY };

    for (size_t i = 0; i < sizeof families; i++)
        for (int n = 0; n < 1000 && change(links, RTM_DELRULE, families[i], &any) == 0; n++)
            continue;
}
