/* SPDX-License-Identifier: Apache-2.0 */
/* forwards.c - see forwards.h. */
#include "forwards.h"

#include "fd.h"
#include "forwarder_line.h"
#include "log.h"
#include "mem.h"
#include "router.h"
#include "transparent.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#define AGAIN_USEC 1000000u /* between two tries to listen */

struct forward {
    TAILQ_ENTRY(forward) link;
    struct netd_forward spec; /* NETD_FORWARD_LIVE: the forwarder has it, or will */
    struct forward_place place;
    uint32_t number;
};

struct forwards {
    struct forwards_setup setup;
    TAILQ_HEAD(, forward) list;
    unsigned n;
    uint32_t last_number;
    bool transparent; /* clients' addresses are kept */
    struct forwarder_line *line;
    sd_event_source *again; /* on while there is somebody to listen for */
};

/* ---- listening --------------------------------------------------------------------- */

static const uint8_t any4[16] = { [10] = 0xff, 0xff };

static bool is_any(const uint8_t addr[static 16])
{
    static const uint8_t none[16];

    return memcmp(addr, none, sizeof none) == 0;
}

static int open_port(struct forwards *all, const struct netd_forward *f, const uint8_t addr[16])
{
    struct host_port port = { .port = (uint16_t)f->external_port, .udp = f->protocol == NETD_UDP };

    memcpy(port.addr, addr, sizeof port.addr);
    return spawner_open_port(all->setup.spawner, &port);
}

/* A socket for each family. A host without IPv6 is no reason to forward nothing. */
static int open_ports(struct forwards *all, const struct netd_forward *f, int fds[static 2],
                      size_t *ret_n)
{
    bool v4 = f->families & NETD_IPV4, v6 = f->families & NETD_IPV6;
    size_t n = 0;
    int fd = 0;

    if (v4)
        fd = fds[n++] = open_port(all, f, is_any(f->listen) ? any4 : f->listen);
    if (v6 && fd >= 0) {
        fd = open_port(all, f, f->listen);
        if (fd >= 0)
            fds[n++] = fd;
        else if (v4 && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL))
            fd = 0;
    }
    if (fd < 0 && v4)
        fd_closep(&fds[0]);
    *ret_n = n;
    return fd < 0 ? fd : 0;
}

static int order(struct forwards *all, enum forwarder_op op, const struct forward *f, int *fds,
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

static int listen_for(struct forwards *all, struct forward *f)
{
    int fds[2] = { -1, -1 };
    size_t n = 0;
    int r = open_ports(all, &f->spec, fds, &n);

    if (r == 0)
        r = order(all, FORWARDER_ADD, f, fds, n);
    if (r == 0)
        f->spec.flags |= NETD_FORWARD_LIVE;
    for (size_t i = 0; i < n; i++)
        fd_closep(&fds[i]);
    return r;
}

static void try_again_later(struct forwards *all)
{
    (void)sd_event_source_set_time_relative(all->again, AGAIN_USEC);
    (void)sd_event_source_set_enabled(all->again, SD_EVENT_ONESHOT);
}

static void listen_for_all(struct forwards *all)
{
    struct forward *f;

    TAILQ_FOREACH (f, &all->list, link) {
        if (f->spec.flags & NETD_FORWARD_LIVE)
            continue;
        if (listen_for(all, f) == 0)
            all->setup.changed(all->setup.arg, &f->spec);
        else
            try_again_later(all);
    }
}

static int on_again(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source, (void)usec;
    listen_for_all(arg);
    return 0;
}

/* ---- the forwarder ----------------------------------------------------------------- */

static void on_up(void *arg)
{
    listen_for_all(arg);
}

static void on_down(void *arg)
{
    struct forwards *all = arg;
    struct forward *f;

    TAILQ_FOREACH (f, &all->list, link) {
        if (!(f->spec.flags & NETD_FORWARD_LIVE))
            continue;
        f->spec.flags &= ~(uint32_t)NETD_FORWARD_LIVE;
        all->setup.changed(all->setup.arg, &f->spec);
    }
}

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

static int begin_forwarding(struct forwards *all)
{
    if (forwarder_line_runs(all->line))
        return 0;
    begin_keeping_sources(all);
    return forwarder_line_start(all->line);
}

static void end_forwarding(struct forwards *all)
{
    (void)sd_event_source_set_enabled(all->again, SD_EVENT_OFF);
    forwarder_line_stop(all->line);
    end_keeping_sources(all);
}

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
        end_forwarding(all);
}

static void end_forward(struct forwards *all, struct forward *f)
{
    bool live = f->spec.flags & NETD_FORWARD_LIVE;

    /* One that cannot be told is to be killed, or the port stays open for nobody. */
    if (live && order(all, FORWARDER_REMOVE, f, NULL, 0) == -ENOMEM)
        forwarder_line_stop(all->line);
    strike_out(all, f);
    if (!TAILQ_EMPTY(&all->list) && !forwarder_line_runs(all->line)) {
        on_down(all);
        (void)begin_forwarding(all);
    }
}

static int refuse_port(const struct netd_forward *f, int err, struct netd_why *why)
{
    const char *protocol = f->protocol == NETD_TCP ? "TCP" : "UDP";

    if (err == -EADDRINUSE)
        return why_refused(why, err, "%s port %u of the host is in use", protocol,
                           f->external_port);
    if (err == -EACCES)
        return why_refused(why, err,
                           "%s port %u of the host is for root only: choose one from 1024 on, or "
                           "lower net.ipv4.ip_unprivileged_port_start",
                           protocol, f->external_port);
    if (err == -EADDRNOTAVAIL)
        return why_refused(why, err, "%s port %u: the host has no such address to listen on",
                           protocol, f->external_port);
    return why_failed(why, err, "cannot listen on %s port %u of the host", protocol,
                      f->external_port);
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
    r = begin_forwarding(all);
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
        r = listen_for(all, f);
    if (r == -ENOTCONN) /* the next forwarder will get it, in a moment */
        try_again_later(all);
    if (r == 0 || r == -ENOTCONN)
        return 0;
    strike_out(all, f);
    return refuse_port(forward, r, why);
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
    (void)order(all, FORWARDER_REMOVE, &unknown, NULL, 0);
}

void forwards_adopt_forwarder(struct forwards *all, const struct process *forwarder, int netd)
{
    int r = forwarder_line_adopt(all->line, forwarder, netd, on_has);

    if (TAILQ_EMPTY(&all->list)) {
        end_forwarding(all);
        return;
    }
    begin_keeping_sources(all);
    if (r < 0) {
        on_down(all);
        r = forwarder_line_start(all->line);
    } else {
        listen_for_all(all); /* those that it had not been told of */
    }
    if (r < 0)
        (void)log_failure(r, "cannot start the forwarder: ports of the host lead nowhere");
}

/* ---- life -------------------------------------------------------------------------- */

int forwards_new(const struct forwards_setup *setup, struct forwards **ret)
{
    struct forwards *all = calloc(1, sizeof *all);
    const struct forwarder_line_setup line = { .event = setup->event,
                                               .spawner = setup->spawner,
                                               .journal = setup->journal,
                                               .dirfd = setup->dirfd,
                                               .up = on_up,
                                               .down = on_down,
                                               .arg = all };
    int r;

    if (!all)
        return -ENOMEM;
    all->setup = *setup;
    TAILQ_INIT(&all->list);
    r = forwarder_line_new(&line, &all->line);
    if (r == 0)
        r = sd_event_add_time(setup->event, &all->again, CLOCK_MONOTONIC, 0, AGAIN_USEC / 10,
                              on_again, all);
    if (r >= 0)
        r = sd_event_source_set_enabled(all->again, SD_EVENT_OFF);
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
        end_forwarding(all);
    forwarder_line_free(all->line);
    all->again = sd_event_source_disable_unref(all->again);
    while ((f = TAILQ_FIRST(&all->list))) {
        TAILQ_REMOVE(&all->list, f, link);
        free(f);
    }
    free(all);
}
