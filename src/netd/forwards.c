/* SPDX-License-Identifier: Apache-2.0 */
/* forwards.c - see forwards.h: which ports of the host lead to VMs.
 *
 * forwards_part.h lists the rooms. One is in the journal before anybody listens for it, and stays
 * in the list while nobody can: what was promised holds until it is taken back, and
 * NETD_FORWARD_LIVE says what holds right now.
 */
#include "forwards_part.h"

#include "log.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/* ---- the list ---------------------------------------------------------------------- */

static bool same_door(const struct netd_forward *a, const struct netd_forward *b)
{
    return a->protocol == b->protocol && a->external_port == b->external_port &&
           (a->families & b->families) && memcmp(a->listen, b->listen, sizeof a->listen) == 0;
}

static struct forward *find(const struct forwards *all, const struct netd_forward *like)
{
    struct forward *f;

    TAILQ_FOREACH (f, &all->list, link)
        if (same_door(&f->spec, like))
            return f;
    return NULL;
}

static struct forward *enlist(struct forwards *all, const struct journal_forward *fact,
                              uint32_t prefix)
{
    struct forward *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    *f = (struct forward){ .spec = fact->forward,
                           .place = { fact->index, prefix },
                           .number = fact->number };
    TAILQ_INSERT_TAIL(&all->list, f, link);
    all->n++;
    if (all->last_number < fact->number)
        all->last_number = fact->number;
    return f;
}

static void strike_out(struct forwards *all, struct forward *f)
{
    int r = journal_forward_gone(all->setup.journal, f->number);

    if (r < 0)
        (void)log_failure(r, "cannot write down that a forwarded port has gone");
    TAILQ_REMOVE(&all->list, f, link);
    all->n--;
    free(f);
    if (TAILQ_EMPTY(&all->list))
        forwards_stop_forwarder(all);
}

static void end_forward(struct forwards *all, struct forward *f)
{
    bool live = f->spec.flags & NETD_FORWARD_LIVE;
    int r = live ? forward_order(all, FORWARDER_REMOVE, f, NULL, 0) : -ENOTCONN;

    /* One that cannot be told is to be killed, or the port stays open for nobody. */
    if (r == -ENOMEM)
        forwarder_line_stop(all->line);
    else if (r == 0)
        forwarder_line_await_removal(all->line, f->number);
    strike_out(all, f);
    if (!TAILQ_EMPTY(&all->list) && !forwarder_line_runs(all->line)) {
        forwards_forwarder_gone(all);
        (void)forwards_want_forwarder(all);
    }
}

/* Written down, in the list, and somebody there who can listen for it; NULL: *ret_err. */
static struct forward *begin_forward(struct forwards *all, const struct journal_forward *fact,
                                     uint32_t prefix, int *ret_err, struct netd_why *why)
{
    struct journal *journal = all->setup.journal;
    struct forward *f;
    int r = journal_room(journal);

    if (r == 0)
        r = journal_forward(journal, fact);
    if (r < 0) {
        *ret_err = why_unwritten(why, r, all->setup.path);
        return NULL;
    }
    f = enlist(all, fact, prefix);
    if (!f) {
        (void)journal_forward_gone(journal, fact->number);
        *ret_err = why_failed(why, -ENOMEM, "forwarded port %u", fact->forward.external_port);
        return NULL;
    }
    r = forwards_want_forwarder(all);
    if (r == 0)
        return f;
    strike_out(all, f);
    *ret_err = why_failed(why, r, "cannot start the forwarder");
    return NULL;
}

int forwards_add(struct forwards *all, const struct netd_forward *forward,
                 const struct forward_place *place, struct netd_why *why)
{
    const struct journal_forward fact = { place->index, all->last_number + 1, *forward };
    struct forward *f = find(all, forward);
    int r = 0;

    if (f)
        return why_refused(why, -EADDRINUSE, "port %u is forwarded to a VM of network '%s' already",
                           forward->external_port, f->spec.network);
    if (all->n >= NETD_FORWARDS_MAX)
        return why_refused(why, -EDQUOT, "%u ports are forwarded already", all->n);
    f = begin_forward(all, &fact, place->prefix, &r, why);
    if (!f)
        return r;
    if (!(f->spec.flags & NETD_FORWARD_LIVE)) /* else a forwarder that has just come has it */
        r = forward_listen(all, f);
    if (r == -ENOTCONN) /* the next forwarder will get it, in a moment */
        forwards_listen_later(all);
    if (r == 0 || r == -ENOTCONN)
        return 0;
    strike_out(all, f);
    return forward_refuse_port(forward, r, why);
}

int forwards_remove(struct forwards *all, const struct netd_forward *forward, struct netd_why *why)
{
    struct forward *f = find(all, forward);

    if (!f)
        return why_refused(why, -ENOENT, "port %u is not forwarded", forward->external_port);
    end_forward(all, f);
    return 0;
}

void forwards_end(struct forwards *all, uint32_t index, const char *interface)
{
    struct forward *f = TAILQ_FIRST(&all->list), *next;

    for (; f; f = next) {
        next = TAILQ_NEXT(f, link);
        if (f->place.index == index && (!interface || strcmp(f->spec.interface, interface) == 0))
            end_forward(all, f);
    }
}

void forwards_list(const struct forwards *all, void (*each)(void *arg, const struct netd_forward *),
                   void *arg)
{
    const struct forward *f;

    TAILQ_FOREACH (f, &all->list, link)
        each(arg, &f->spec);
}

int forwards_describe(const struct forwards *all, struct journal_state *state)
{
    const struct forward *f;
    int r = 0;

    state->forwarder = forwarder_line_process(all->line);
    TAILQ_FOREACH (f, &all->list, link) {
        struct journal_forward fact = { f->place.index, f->number, f->spec };

        fact.forward.flags &= ~(uint32_t)NETD_FORWARD_LIVE;
        if (r == 0)
            r = journal_state_add_forward(state, &fact);
    }
    return r;
}

/* ---- what a dead netd left --------------------------------------------------------- */

void forwards_adopt(struct forwards *all, const struct journal_forward *forward, uint32_t prefix)
{
    if (!enlist(all, forward, prefix))
        log_error("no memory to adopt the forwarded port %u", forward->forward.external_port);
}

/* ---- life -------------------------------------------------------------------------- */

int forwards_new(const struct forwards_setup *setup, struct forwards **ret)
{
    struct forwards *all = calloc(1, sizeof *all);
    int r;

    if (!all)
        return -ENOMEM;
    all->setup = *setup;
    TAILQ_INIT(&all->list);
    r = forwards_forwarder_init(all);
    if (r == 0)
        r = forwards_listen_init(all);
    if (r < 0) {
        forwards_free(all);
        return r;
    }
    *ret = all;
    return 0;
}

void forwards_leave(struct forwards *all)
{
    forwarder_line_free(all->line);
    all->line = NULL;
}

void forwards_free(struct forwards *all)
{
    struct forward *f;

    if (!all)
        return;
    if (all->line)
        forwards_stop_forwarder(all);
    forwarder_line_free(all->line);
    all->again = sd_event_source_disable_unref(all->again);
    while ((f = TAILQ_FIRST(&all->list))) {
        TAILQ_REMOVE(&all->list, f, link);
        free(f);
    }
    free(all);
}
