/* SPDX-License-Identifier: Apache-2.0 */
/* forwards_forwarder.c - the forwarder is there while any port is forwarded, and has those that
 * stand in the list.
 *
 * A new one knows nothing and is told all of it. That of a dead netd goes on with what it has,
 * so that connections outlive us: it says by number what that is, and only the difference is
 * mended. Rule and route that keep clients' addresses come and go with it, so that a namespace
 * that forwards nothing has neither.
 */
#include "forwards_part.h"

#include "log.h"
#include "router.h"
#include "transparent.h"

#include <netinet/in.h>
#include <string.h>

int forward_order(struct forwards *all, enum forwarder_op op, const struct forward *f, int *fds,
                  size_t n)
{
    struct forwarder_order o = {
        .op = op,
        .number = f->number,
        .protocol = f->spec.protocol == NETD_TCP ? IPPROTO_TCP : IPPROTO_UDP,
        .port = f->spec.internal_port,
        .prefix = f->place.prefix,
        .transparent = all->transparent,
    };

    memcpy(o.target, f->spec.target, sizeof o.target);
    return forwarder_line_order(all->line, &o, fds, n);
}

/* ---- clients' addresses ------------------------------------------------------------ */

/* Whether this kernel can keep clients' addresses is found out when it is first needed. */
static void begin_keeping_sources(struct forwards *all)
{
    struct nft *nft = all->setup.nft;
    const char *why = NULL;
    int r;

    if (all->transparent)
        return;
    if (!router_can_keep_sources(nft))
        why = "nftables has no socket match";
    else if ((r = transparent_route(all->setup.links)) < 0)
        why = strerror(-r);
    else if (router_keep_sources(nft, true) < 0)
        why = nft_error(nft);
    all->transparent = !why;
    if (why)
        log_warning("VMs see forwarded connections as their gateway's: this kernel cannot keep "
                    "the clients' addresses (%s)",
                    why);
}

static void end_keeping_sources(struct forwards *all)
{
    if (all->transparent && router_keep_sources(all->setup.nft, false) < 0)
        log_warning("cannot remove the rule for forwarded connections: %s",
                    nft_error(all->setup.nft));
    all->transparent = false;
}

/* ---- the process ------------------------------------------------------------------- */

static void on_up(void *arg)
{
    forwards_listen(arg);
}

static void on_down(void *arg)
{
    forwards_forwarder_gone(arg);
}

int forwards_forwarder_init(struct forwards *all)
{
    const struct forwarder_line_setup line = { .event = all->setup.event,
                                               .spawner = all->setup.spawner,
                                               .journal = all->setup.journal,
                                               .dirfd = all->setup.dirfd,
                                               .up = on_up,
                                               .down = on_down,
                                               .arg = all };

    return forwarder_line_new(&line, &all->line);
}

int forwards_want_forwarder(struct forwards *all)
{
    if (forwarder_line_runs(all->line))
        return 0;
    begin_keeping_sources(all);
    return forwarder_line_start(all->line);
}

void forwards_stop_forwarder(struct forwards *all)
{
    forwards_listen_no_more(all);
    forwarder_line_stop(all->line);
    end_keeping_sources(all);
}

void forwards_forwarder_gone(struct forwards *all)
{
    struct forward *f;

    TAILQ_FOREACH (f, &all->list, link) {
        if (!(f->spec.flags & NETD_FORWARD_LIVE))
            continue;
        f->spec.flags &= ~(uint32_t)NETD_FORWARD_LIVE;
        all->setup.changed(all->setup.arg, &f->spec);
    }
}

/* ---- that of a dead netd ----------------------------------------------------------- */

/* What it has and should not have, goes. */
static void on_has(void *arg, uint32_t number)
{
    struct forwards *all = arg;
    const struct forward unknown = { .number = number };
    struct forward *f;

    if (all->last_number < number)
        all->last_number = number;
    TAILQ_FOREACH (f, &all->list, link)
        if (f->number == number) {
            f->spec.flags |= NETD_FORWARD_LIVE;
            return;
        }
    (void)forward_order(all, FORWARDER_REMOVE, &unknown, NULL, 0);
}

void forwards_adopt_forwarder(struct forwards *all, const struct process *forwarder, int netd)
{
    int r = forwarder_line_adopt(all->line, forwarder, netd, on_has);

    if (TAILQ_EMPTY(&all->list)) {
        forwards_stop_forwarder(all);
        return;
    }
    begin_keeping_sources(all);
    if (r < 0) {
        forwards_forwarder_gone(all);
        r = forwarder_line_start(all->line);
    } else {
        forwards_listen(all); /* those that it had not been told of */
    }
    if (r < 0)
        (void)log_failure(r, "cannot start the forwarder: ports of the host lead nowhere");
}
