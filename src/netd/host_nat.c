/* SPDX-License-Identifier: Apache-2.0 */
/* host_nat.c - see host_nat.h.
 *
 * Rules come before forwarding: at no moment does the host forward what is not ours. Made
 * again, everything is left as it is where it is as it should be, so that connections outlive
 * any number of repairs.
 */
#include "host_nat.h"

#include "cable.h"
#include "fd.h"
#include "forwarding.h"
#include "host_view.h"
#include "knobs.h"
#include "log.h"
#include "mem.h"
#include "names.h"
#include "veth.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CABLE_MTU 1500

struct host_nat {
    struct host_nat_tools tools;
    uint32_t transit; /* of the cable; 0: there is none that we know of */
    int trace;        /* -1: not traced */
    bool timeouts;    /* the kernel can forget soon what has ended */
    uint64_t seen4, seen6;
    char *text, *looks; /* the table: as we wrote it, and what it looked like then */
};

int host_nat_new(const struct host_nat_tools *tools, struct host_nat **ret)
{
    struct host_nat *nat = calloc(1, sizeof *nat);

    if (!nat)
        return -ENOMEM;
    nat->tools = *tools;
    nat->trace = -1;
    nat->timeouts = nft_accepts(tools->nft, host_nat_timeouts_try);
    if (!nat->timeouts)
        log_info("this kernel cannot forget a guest's ended connections soon "
                 "(CONFIG_NF_CONNTRACK_TIMEOUT): they stay in the host's table for two minutes");
    *ret = nat;
    return 0;
}

void host_nat_free(struct host_nat *nat)
{
    if (!nat)
        return;
    fd_closep(&nat->trace);
    free(nat->text);
    free(nat->looks);
    free(nat);
}

/* ---- the plan ------------------------------------------------------------------------ */

static bool named(const struct link_names *list, const char *name)
{
    for (uint32_t i = 0; i < list->n && i < HOST_NAT_LINKS_MAX; i++)
        if (strcmp(list->name[i], name) == 0)
            return true;
    return false;
}

static void add(struct link_names *list, const char *name)
{
    if (list->n < HOST_NAT_LINKS_MAX && !named(list, name))
        memcpy(list->name[list->n++], name, sizeof list->name[0]);
}

/* Those by which answers come and that do not forward by themselves; and those that we have
 * switched on for answers that no longer come: they are switched off in the end, and guarded
 * until then. What is everybody's has become somebody else's business. */
static void plan_links(int family, const struct link_names *links, const struct link_names *now,
                       struct link_names *ret)
{
    ret->n = 0;
    if (forwarding_everywhere(family))
        return;
    for (uint32_t i = 0; i < now->n && i < HOST_NAT_LINKS_MAX; i++)
        if (forwarding_get(family, now->name[i]) >= 0)
            add(ret, now->name[i]);
    for (uint32_t i = 0; i < links->n; i++)
        if (forwarding_get(family, links->name[i]) == 0)
            add(ret, links->name[i]);
}

int host_nat_plan(struct host_nat *nat, const struct subnet4 *ours, size_t n_ours,
                  const struct host_nat_plan *now, struct host_nat_plan *ret)
{
    struct host_nat_plan plan;
    struct host_view view;
    int r = host_view_read(nat->tools.links, ours, n_ours, &view);

    if (r < 0)
        return r;
    plan = (struct host_nat_plan){
        .transit = transit_choose(&view.transits, now->transit),
        .default4 = view.default4,
        .default6 = view.default6,
        .overlap = view.overlap,
        .kernel6 = forwarding_everywhere(AF_INET6) || forwarding_get(AF_INET6, "lo") >= 0,
    };
    plan_links(AF_INET, &view.links4, &now->on4, &plan.on4);
    if (plan.kernel6)
        plan_links(AF_INET6, &view.links6, &now->on6, &plan.on6);
    *ret = plan;
    return 0;
}

/* ---- making -------------------------------------------------------------------------- */

/* Other addresses on the same cable would leave the old ones' route: so it is made anew. One that
 * an earlier netd has left may be other than ours: that is nobody's quarrel. */
static int make_cable(struct host_nat *nat, uint32_t transit, unsigned *mended)
{
    struct link_ctx *links = nat->tools.links;
    const bool known = nat->transit == transit;
    bool there = link_index(links, HOST_NAT_LINK) > 0;
    int r = 0;

    if (there && nat->transit != 0 && !known) {
        (void)link_delete(links, HOST_NAT_LINK);
        there = false;
    }
    if (!there)
        r = veth_add(links, &(struct veth){ .name = HOST_NAT_LINK,
                                            .peer = uplink_link(KERNEL_SLOT),
                                            .mac = &cable_mac[CABLE_HOST],
                                            .peer_mac = &cable_mac[CABLE_INSIDE],
                                            .netns = nat->tools.netns,
                                            .mtu = CABLE_MTU });
    nat->transit = transit;
    if (r == 0)
        r = cable_connect(links, HOST_NAT_LINK, CABLE_HOST, transit);
    if (r > 0 && known)
        *mended += (unsigned)r;
    return r;
}

static void forget_rules(struct host_nat *nat)
{
    free(take_ptr(&nat->text));
    free(take_ptr(&nat->looks));
}

/* Written again for nothing, they would be news, and a reason to look again. */
static bool rules_stand(const struct host_nat *nat, const char *text)
{
    AUTO_FREE char *now = NULL;

    return nat->text && nat->looks && strcmp(nat->text, text) == 0 &&
           nft_describe(nat->tools.nft, "list table " HOST_NAT_TABLE, &now) == 0 &&
           strcmp(now, nat->looks) == 0;
}

static int make_rules(struct host_nat *nat, const struct host_nat_plan *plan, unsigned *mended)
{
    const struct host_nat_rules rules = {
        .transit = plan->transit, .only4 = plan->on4, .only6 = plan->on6, .timeouts = nat->timeouts
    };
    struct nft_text text = { .len = 0 };
    int r;

    host_nat_rules_text(&rules, &text);
    if (text.err == 0 && rules_stand(nat, text.at))
        return 0;
    ++*mended;
    r = nft_text_run(&text, nat->tools.nft);
    forget_rules(nat);
    if (r < 0)
        return r;
    if (nft_describe(nat->tools.nft, "list table " HOST_NAT_TABLE, &nat->looks) == 0)
        nat->text = strdup(text.at); /* NULL: it is written again */
    return 0;
}

static int switch_on(int family, const char *link, unsigned *mended, struct netd_why *why)
{
    int now = forwarding_get(family, link), r;

    if (now != 0) /* as it should be; or it has just gone */
        return 0;
    ++*mended;
    r = forwarding_set(family, link, true);
    if (r == 0 || r == -ENODEV)
        return 0;
    return why_failed(why, r, "net.%s of the host cannot be set for '%s'",
                      family == AF_INET ? "ipv4.conf.*.forwarding" : "ipv6.conf.*.force_forwarding",
                      link);
}

static int switch_all_on(int family, const struct link_names *links, unsigned *mended,
                         struct netd_why *why)
{
    int r = forwarding_everywhere(family) ? 0 : switch_on(family, HOST_NAT_LINK, mended, why);

    for (uint32_t i = 0; r == 0 && i < links->n && i < HOST_NAT_LINKS_MAX; i++)
        r = switch_on(family, links->name[i], mended, why);
    return r;
}

int host_nat_make(struct host_nat *nat, const struct host_nat_plan *plan, unsigned *ret_mended,
                  struct netd_why *why)
{
    unsigned mended = 0;
    int r = make_cable(nat, plan->transit, &mended);

    if (r < 0)
        return why_failed(why, r, "cannot make the host's link '%s'", HOST_NAT_LINK);
    r = make_rules(nat, plan, nat->text ? &mended : &(unsigned){ 0 });
    if (r < 0)
        return why_refused(why, r, "cannot make the host's table '%s': %s", HOST_NAT_TABLE,
                           nft_error(nat->tools.nft));
    r = switch_all_on(AF_INET, &plan->on4, &mended, why);
    if (r == 0 && plan->kernel6)
        r = switch_all_on(AF_INET6, &plan->on6, &mended, why);
    if (r == 0)
        *ret_mended = mended;
    return r;
}

/* ---- taking down --------------------------------------------------------------------- */

static int switch_off(int family, const struct link_names *links)
{
    int first = 0;

    if (forwarding_everywhere(family))
        return 0; /* somebody has made the host a router meanwhile */
    for (uint32_t i = 0; i < links->n && i < HOST_NAT_LINKS_MAX; i++) {
        int r = forwarding_set(family, links->name[i], false);

        if (r < 0 && r != -ENODEV && r != -EOPNOTSUPP && first == 0)
            first = r;
    }
    return first;
}

int host_nat_end(struct host_nat *nat, const struct link_names *on4, const struct link_names *on6,
                 struct netd_why *why)
{
    int r4 = switch_off(AF_INET, on4), r6 = switch_off(AF_INET6, on6);
    int link = link_delete(nat->tools.links, HOST_NAT_LINK);
    int rules = nft_run(nat->tools.nft, "%s", host_nat_rules_end);

    nat->transit = 0;
    forget_rules(nat);
    fd_closep(&nat->trace);
    if (r4 < 0 || r6 < 0)
        return why_failed(why, r4 < 0 ? r4 : r6, "cannot switch the host's forwarding off again");
    if (link < 0 && link != -ENODEV)
        return why_failed(why, link, "cannot delete the host's link '%s'", HOST_NAT_LINK);
    return rules < 0 ? why_refused(why, rules, "cannot delete the host's table '%s': %s",
                                   HOST_NAT_TABLE, nft_error(nat->tools.nft))
                     : 0;
}

/* ---- the probe ----------------------------------------------------------------------- */

static uint64_t packets_of(const json_t *listing, const char *name)
{
    json_t *item;
    size_t i;

    json_array_foreach (json_object_get(listing, "nftables"), i, item) {
        const json_t *counter = json_object_get(item, "counter");
        const char *its = json_string_value(json_object_get(counter, "name"));

        if (its && strcmp(its, name) == 0)
            return (uint64_t)json_integer_value(json_object_get(counter, "packets"));
    }
    return 0;
}

static int count(struct host_nat *nat, uint64_t *ret4, uint64_t *ret6, struct netd_why *why)
{
    AUTO_FREE char *text = NULL;
    int r = nft_list(nat->tools.nft, "list counters table " HOST_NAT_TABLE, &text);
    json_t *listing = r < 0 ? NULL : json_loads(text, 0, NULL);

    if (!listing)
        return why_refused(why, r < 0 ? r : -EIO, "cannot read the probe's counters: %s",
                           nft_error(nat->tools.nft));
    *ret4 = packets_of(listing, "probe4");
    *ret6 = packets_of(listing, "probe6");
    json_decref(listing);
    return 0;
}

int host_nat_arm(struct host_nat *nat, bool trace, struct netd_why *why)
{
    int r = count(nat, &nat->seen4, &nat->seen6, why);

    if (r < 0)
        return r;
    r = nft_run(nat->tools.nft, "%s", host_nat_probes_on);
    if (r < 0)
        return why_refused(why, r, "cannot count the probe: %s", nft_error(nat->tools.nft));
    if (!trace)
        return 0;
    fd_closep(&nat->trace);
    nat->trace = nft_trace_open();
    if (nat->trace < 0)
        return why_failed(why, nat->trace, "cannot hear who drops the probe");
    r = nft_run(nat->tools.nft, "%s", host_nat_trace_on);
    return r < 0 ? why_refused(why, r, "cannot trace the probe: %s", nft_error(nat->tools.nft)) : 0;
}

/* The cable's addresses are its own, so this drops nothing unless routing rules that come before
 * the main table send even those elsewhere. */
static bool reverse_path_is_strict(void)
{
    int all = sysctl_number("ipv4/conf/all/rp_filter");
    int cable = sysctl_number("ipv4/conf/" HOST_NAT_LINK "/rp_filter");

    return (all > cable ? all : cable) == 1;
}

static void read_trace(struct host_nat *nat, struct host_nat_verdict *ret)
{
    nft_trace_read(nat->trace, ret->end);
    ret->strict4 = reverse_path_is_strict();
    fd_closep(&nat->trace);
    (void)nft_run(nat->tools.nft, "%s", host_nat_trace_off);
}

int host_nat_look(struct host_nat *nat, struct host_nat_verdict *ret, struct netd_why *why)
{
    uint64_t now4 = 0, now6 = 0;
    int r = count(nat, &now4, &now6, why);

    *ret = (struct host_nat_verdict){ .passed4 = r == 0 && now4 > nat->seen4,
                                      .passed6 = r == 0 && now6 > nat->seen6 };
    if (nat->trace >= 0)
        read_trace(nat, ret);
    return r;
}

void host_nat_rest(struct host_nat *nat)
{
    (void)nft_run(nat->tools.nft, "%s", host_nat_probes_off);
}
