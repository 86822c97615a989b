/* SPDX-License-Identifier: Apache-2.0 */
/* backend_forward_list.c - the forwards of each network, wanted or there, and who waits for one.
 *
 * Whoever is told may ask for the next thing at once, and so change the list: nobody goes on
 * from an entry after telling.
 */
#include "backend_record.h"

#include "log.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <string.h>

/* ---- entries ----------------------------------------------------------------------- */

static bool same_door(const struct netd_forward *a, const struct netd_forward *b)
{
    return a->protocol == b->protocol && a->external_port == b->external_port &&
           (a->families & b->families) && memcmp(a->listen, b->listen, sizeof a->listen) == 0;
}

static bool same_forward(const struct netd_forward *a, const struct netd_forward *b)
{
    struct netd_forward plain = *a, other = *b;

    plain.flags &= ~(uint32_t)NETD_FORWARD_LIVE;
    other.flags &= ~(uint32_t)NETD_FORWARD_LIVE;
    return memcmp(&plain, &other, sizeof plain) == 0;
}

struct forward_entry *forward_new(struct record *record, const struct netd_forward *spec)
{
    struct forward_entry *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    f->spec = *spec;
    f->serial = ++record->b->forwards_so_far;
    f->wanted = true;
    TAILQ_INSERT_TAIL(&record->handle.forwards, f, link);
    return f;
}

void forward_free(struct record *record, struct forward_entry *f)
{
    TAILQ_REMOVE(&record->handle.forwards, f, link);
    timer_end(&f->timer);
    free(f);
}

void forward_tell(struct forward_entry *f, const struct failure *failure)
{
    backend_forwarded done = f->done;

    timer_end(&f->timer);
    f->done = NULL;
    if (done)
        done(f->arg, failure);
}

/* Whoever is told may do anything: so that is last. */
void forward_tell_and_free(struct record *record, struct forward_entry *f,
                           const struct failure *failure)
{
    backend_forwarded done = f->done;
    void *arg = f->arg;

    forward_free(record, f);
    if (done)
        done(arg, failure);
}

struct forward_entry *forward_by_serial(const struct record *record, unsigned serial)
{
    struct forward_entry *f;

    TAILQ_FOREACH (f, &record->handle.forwards, link)
        if (f->serial == serial)
            return f;
    return NULL;
}

bool forward_is_at(const struct forward_entry *f, const struct netd_forward *door)
{
    return f->wanted && same_door(&f->spec, door);
}

struct forward_entry *forward_taken(const struct backend_netd *b, const struct netd_forward *spec,
                                    const struct forward_entry *except)
{
    const struct record *record;
    struct forward_entry *f;

    TAILQ_FOREACH (record, &b->records, link)
        TAILQ_FOREACH (f, &record->handle.forwards, link)
            if (f != except && forward_is_at(f, spec))
                return f;
    return NULL;
}

/* ---- who waits --------------------------------------------------------------------- */

static struct forward_entry *first_unsent(const struct backend_netd *b)
{
    const struct record *record;
    struct forward_entry *f;

    TAILQ_FOREACH (record, &b->records, link)
        TAILQ_FOREACH (f, &record->handle.forwards, link)
            if (f->done && !f->asked)
                return f;
    return NULL;
}

bool forwards_waiting(const struct backend_netd *b)
{
    return first_unsent(b) != NULL;
}

void forwards_fail_unsent(struct backend_netd *b, const struct failure *failure)
{
    struct forward_entry *f;

    while ((f = first_unsent(b))) { /* whoever is told may change the list */
        f->wanted = false;
        forward_tell(f, failure);
    }
}

static int on_impatience(sd_event_source *source, uint64_t usec, void *arg)
{
    struct forward_entry *f = arg;
    struct failure failure;

    (void)source;
    (void)usec;
    (void)failure_set(&failure, -ETIMEDOUT, "vmnet-netd does not answer");
    f->wanted = false; /* should it come after all, it goes again */
    forward_tell(f, &failure);
    return 0;
}

int forward_wait(struct record *record, struct forward_entry *f, backend_forwarded done, void *arg)
{
    struct backend_netd *b = record->b;
    int r = sd_event_add_time_relative(b->event, &f->timer, CLOCK_MONOTONIC, b->request_usec, 0,
                                       on_impatience, f);

    if (r < 0)
        return r;
    f->done = done;
    f->arg = arg;
    backend_schedule(b);
    return 0;
}

/* ---- what netd tells --------------------------------------------------------------- */

struct forward_entry *forward_same(const struct record *record, const struct netd_forward *spec)
{
    struct forward_entry *f;

    TAILQ_FOREACH (f, &record->handle.forwards, link)
        if (same_forward(&f->spec, spec))
            return f;
    return NULL;
}

void forwards_gone(struct record *record, const char *interface)
{
    static const struct failure gone = { -ENOENT, "the VM that it leads to is gone" };
    struct forward_entry *f = TAILQ_FIRST(&record->handle.forwards);

    while (f) {
        if (interface && strcmp(f->spec.interface, interface) != 0) {
            f = TAILQ_NEXT(f, link);
            continue;
        }
        forward_tell_and_free(record, f, f->wanted ? &gone : NULL);
        f = TAILQ_FIRST(&record->handle.forwards); /* whoever was told may have changed the list */
    }
}

void forwards_forget(struct record *record)
{
    struct forward_entry *f;

    while ((f = TAILQ_FIRST(&record->handle.forwards)))
        forward_free(record, f);
}

void forwards_changed(struct backend_netd *b, const struct netd_forward *forward)
{
    struct record *record = record_find(b, forward->network);
    struct forward_entry *f = record ? forward_same(record, forward) : NULL;
    struct failure lost;

    if (!f || f->asked)
        return;
    f->spec.flags = forward->flags;
    f->why[0] = '\0';
    if (forward->flags & NETD_FORWARD_LIVE)
        return;
    (void)failure_set(&lost, -ENETDOWN,
                      "nobody listens on port %u of the host: vmnet-netd tries again",
                      forward->external_port);
    (void)str_copy(f->why, sizeof f->why, lost.why);
}

static void take_one(struct backend_netd *b, const struct netd_forward *spec)
{
    struct record *record = record_find(b, spec->network);
    struct forward_entry *f = record ? forward_same(record, spec) : NULL;

    if (record && !f)
        f = forward_new(record, spec);
    if (!f) {
        (void)log_failure(-ENOMEM, "cannot adopt the forwarded port %u", spec->external_port);
        return;
    }
    f->present = true;
    f->spec.flags = spec->flags;
}

/* After networks and interfaces. What waits for an interface that is gone, goes. */
void forwards_take(struct backend_netd *b, const struct netd_inventory *inventory)
{
    struct record *record;
    struct forward_entry *f;

    TAILQ_FOREACH (record, &b->records, link)
        TAILQ_FOREACH (f, &record->handle.forwards, link) {
            f->present = false;
            f->not_before = 0;
            f->spec.flags &= ~(uint32_t)NETD_FORWARD_LIVE;
            if (f->spec.interface[0] && !entry_by_id(record, f->spec.interface))
                f->wanted = false;
        }
    for (size_t i = 0; i < inventory->n_forwards; i++)
        take_one(b, &inventory->forwards[i]);
}

/* ---- what is wrong ----------------------------------------------------------------- */

void forwards_describe(struct backend_netd *b, struct backend_view *ret)
{
    const struct record *record;
    const struct forward_entry *f;

    TAILQ_FOREACH (record, &b->records, link)
        TAILQ_FOREACH (f, &record->handle.forwards, link)
            if (f->wanted && f->why[0] && ret->n_problems < N_ELEMENTS(ret->problems) &&
                str_format(b->forwards_problem, sizeof b->forwards_problem, "network '%s': %s",
                           record->def.name, f->why) == 0) {
                ret->problems[ret->n_problems++] = b->forwards_problem;
                return; /* the others are in ListForwards */
            }
}
