/* SPDX-License-Identifier: Apache-2.0 */
/* hostside_check.c - what netd may ask for: the form of every value again, and that it is none
 * of another network's. A netd that somebody has taken over gets no address onto the host but
 * the last one of a subnet that could be a network's. */
#include "hostside_part.h"

#include <errno.h>
#include <string.h>

#define SUBNET_LONGEST 30 /* gateway and host */

static bool subnet_ok(const struct hostside_network *net)
{
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    /* Of the host itself, of links, of groups and of the future. */
    static const struct subnet4 never[] = {
        { 0x00000000, 8 }, { 0x7f000000, 8 }, { 0xa9fe0000, 16 }, { 0xe0000000, 3 }
    };

    if (net->ipv4_prefix < 8 || net->ipv4_prefix > SUBNET_LONGEST ||
        (net->ipv4_base & ~subnet4_mask(subnet)) != 0)
        return false;
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (subnet4_overlaps(subnet, never[i]))
            return false;
    return true;
}

/* Without IPv6 all zero. */
static bool prefix_ok(const struct hostside_network *net)
{
    static const uint8_t zero[16];
    const uint8_t *a = net->ipv6;

    if (net->ipv6_len == 0)
        return memcmp(a, zero, sizeof zero) == 0;
    return net->ipv6_len == 64 && memcmp(a + 8, zero, 8) == 0 && addr6_is_global(a);
}

static int check_join(const struct host_link at[static NETWORKS_MAX],
                      const struct hostside_network *net, struct netd_why *why)
{
    const struct subnet4 wanted = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };

    if (net->index >= NETWORKS_MAX || net->adopt > 1 || net->mtu < MTU_MIN || net->mtu > MTU_MAX ||
        !subnet_ok(net) || !prefix_ok(net))
        return why_refused(why, -EPROTO, "that is no network that the host could be on");
    if (at[net->index].known && at[net->index].ifindex != 0)
        return why_refused(why, -EEXIST, "the host is on network %u already", net->index);
    for (uint32_t i = 0; i < NETWORKS_MAX; i++) {
        const struct hostside_network *other = &at[i].net;
        const struct subnet4 used = { .base = other->ipv4_base, .prefix = other->ipv4_prefix };

        if (!at[i].known || i == net->index)
            continue;
        if (subnet4_overlaps(wanted, used) ||
            (net->ipv6_len && other->ipv6_len &&
             memcmp(net->ipv6, other->ipv6, sizeof other->ipv6) == 0))
            return why_refused(why, -EADDRINUSE, "network %u has these addresses", i);
    }
    return 0;
}

int hostside_check(const struct host_link at[static NETWORKS_MAX],
                   const struct hostside_request *request, struct netd_why *why)
{
    switch (request->op) {
    case HOSTSIDE_JOIN:
        return check_join(at, &request->body.join, why);
    case HOSTSIDE_PART:
        if (request->body.part < NETWORKS_MAX)
            return 0;
        break;
    case HOSTSIDE_SWEEP:
        return 0;
    case HOSTSIDE_NAT_PLAN:
    case HOSTSIDE_NAT_MAKE:
    case HOSTSIDE_NAT_END:
    case HOSTSIDE_NAT_ARM:
    case HOSTSIDE_NAT_LOOK:
    case HOSTSIDE_NAT_REST:
        if (host_nat_may(request))
            return 0;
        break;
    default:
        break;
    }
    return why_refused(why, -EPROTO, "that cannot be asked of the host's side");
}
