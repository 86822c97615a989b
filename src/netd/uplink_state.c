/* SPDX-License-Identifier: Apache-2.0 */
/* uplink_state.c - what broker, router and log are told of the uplink. */
#include "uplink_part.h"

#include "log.h"
#include "names.h"
#include "router.h"
#include "str.h"

#include <stdio.h>
#include <string.h>

static void compose_no_route(const struct uplink *u, char *text, size_t size)
{
    if (u->slot == 0)
        (void)str_copy(text, size, "failed: the host has no default route");
    else if (!host_default_has_interface(&u->host))
        (void)snprintf(text, size, "failed: the host has no interface '%s'", u->host.interface);
    else
        (void)snprintf(text, size, "failed: the host has no route by '%s'", u->host.interface);
}

static void compose_state(const struct uplink *u, char *text, size_t size)
{
    if (u->phase == STOPPED)
        (void)str_copy(text, size, "none");
    else if (u->phase != LOOKING && !u->host.ipv4 && !u->host.ipv6)
        compose_no_route(u, text, size);
    else if (*u->why)
        (void)snprintf(text, size, "failed: %s", u->why);
    else
        (void)str_copy(text, size, u->phase == ATTACHED ? "ok" : "checking");
}

void uplink_report(struct uplink *u)
{
    char text[sizeof u->state];
    bool broken;

    compose_state(u, text, sizeof text);
    if (strcmp(text, u->state) == 0)
        return;
    (void)str_copy(u->state, sizeof u->state, text);
    broken = strncmp(text, "failed", 6) == 0;
    if (broken)
        log_warning("%s: %s", uplink_link(u->slot), text);
    else
        log_info("%s: %s", uplink_link(u->slot), text);
    u->setup.changed(u->setup.arg, u->host.interface, uplink_engine(u), u->state);
}

/* Guests hear "unreachable" at once for what cannot work. A restart is no such case:
 * it is over before they would have given up. */
static void set_reach(struct uplink *u)
{
    bool alive = *u->why == '\0';
    int reach = alive ? u->host.ipv4 | u->host.ipv6 << 1 : 0;

    if (reach == u->reach)
        return;
    if (router_set_reach(u->setup.nft, u->slot, reach & 1, reach & 2) < 0)
        log_warning("%s: cannot change the router's rules: %s", uplink_link(u->slot),
                    nft_error(u->setup.nft));
    else
        u->reach = reach;
}

void uplink_settle(struct uplink *u)
{
    set_reach(u);
    uplink_report(u);
}
