/* SPDX-License-Identifier: Apache-2.0 */
/* cable.c - see cable.h. */
#include "cable.h"

#include "transit.h"

/* As the networks' (bridge.c), "u" for the uplink. */
const struct mac cable_mac[2] = {
    [CABLE_HOST] = { { 0x02, 'v', 'u', 0, 0, 1 } },
    [CABLE_INSIDE] = { { 0x02, 'v', 'u', 0, 0, 2 } },
};

static struct address address_of(enum cable_end end, unsigned version, uint32_t transit)
{
    struct address a = { .version = version };

    if (version == 4)
        a.v4 = end == CABLE_HOST ? transit_host(transit) : transit_inside(transit);
    else if (end == CABLE_HOST)
        transit6_host(a.v6);
    else
        transit6_inside(a.v6);
    return a;
}

/* 1: it was not there. */
static int add_address(struct link_ctx *links, const char *name, const struct address *a)
{
    int r = a->version == 4 ? link_add_addr4(links, name, a->v4, TRANSIT_PREFIX)
                            : link_add_addr6(links, name, a->v6, TRANSIT6_PREFIX);

    return r == 0 ? 1 : link_made(r);
}

/* One family: its own address, and whose the other end's is. */
static int meet(struct link_ctx *links, const char *name, enum cable_end end, unsigned version,
                uint32_t transit)
{
    const enum cable_end far = end == CABLE_HOST ? CABLE_INSIDE : CABLE_HOST;
    const struct address here = address_of(end, version, transit);
    const struct address there = address_of(far, version, transit);
    int added = add_address(links, name, &here), learnt;

    if (added < 0)
        return added;
    learnt = link_keep_neighbour(links, name, &there, cable_mac[far]);
    return learnt < 0 ? learnt : added + learnt;
}

/* A link that changes its MAC or goes up forgets its neighbours: so these come last. */
int cable_connect(struct link_ctx *links, const char *name, enum cable_end end, uint32_t transit)
{
    int mac = link_keep_mac(links, name, cable_mac[end]), four, six;
    int r = mac < 0 ? mac : link_set_up(links, name);

    if (r < 0)
        return r;
    four = meet(links, name, end, 4, transit);
    if (four < 0)
        return four;
    six = meet(links, name, end, 6, transit);
    if (end == CABLE_HOST && (six == -EACCES || six == -EPERM || six == -EOPNOTSUPP))
        six = 0;
    return six < 0 ? six : mac + four + six;
}
