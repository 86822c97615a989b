/* SPDX-License-Identifier: Apache-2.0 */
/* backend_forwards.c - ports of the host that lead to VMs, until netd has those that are wanted.
 *
 * Clients' forwards are wanted until they are removed, or until their interface or network
 * goes; those of a definition as long as it says so. Each is a difference between what is
 * wanted and what netd has, as networks are. What netd refuses a client is gone; what it
 * refuses a definition is tried again, because whoever has the port may leave. The list of both
 * is backend_forward_list.c's.
 */
#include "backend_record.h"

#include "clock.h"
#include "log.h"
#include "owner_search.h"
#include "str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_USEC  UINT64_C(5000000) /* twice as long after each refusal ... */
#define AGAIN_TIMES 6u                /* ... so many times */

/* One that netd has been asked, until its answer counts; by what it is about, for the record may
 * be gone by then. */
struct forward_question {
    TAILQ_ENTRY(forward_question) link;
    struct backend_netd *b;
    char network[NAME_SIZE];
    unsigned serial;
    struct failure taken; /* netd's answer, while it is found out who has the port */
};

/* ---- asking netd ------------------------------------------------------------------- */

static void say_refused(const struct record *record, struct forward_entry *f,
                        const struct failure *failure)
{
    bool news = strcmp(f->why, failure->why) != 0;

    (void)str_copy(f->why, sizeof f->why, failure->why);
    if (news && record->held)
        tell_applied(record, failure);
}

/* When the first of those that were refused is due. */
static void set_timer(struct backend_netd *b)
{
    const struct record *record;
    const struct forward_entry *f;
    uint64_t first = UINT64_MAX;

    TAILQ_FOREACH (record, &b->records, link)
        TAILQ_FOREACH (f, &record->handle.forwards, link)
            if (f->wanted != f->present && f->not_before != 0 && f->not_before < first)
                first = f->not_before;
    if (first == UINT64_MAX)
        return;
    (void)sd_event_source_set_time(b->forwards_again, first);
    (void)sd_event_source_set_enabled(b->forwards_again, SD_EVENT_ONESHOT);
}

static void put_off(struct backend_netd *b, struct forward_entry *f)
{
    f->not_before = monotonic_usec() + (AGAIN_USEC << f->refusals);
    f->refusals += f->refusals < AGAIN_TIMES;
    set_timer(b);
}

static void on_refused(struct record *record, struct forward_entry *f,
                       const struct failure *failure)
{
    bool defined = f->spec.flags & NETD_FORWARD_DEFINED;

    if (failure->err == -ECONNRESET) { /* netd may have it all the same: it will say so */
        f->wanted = f->wanted && !f->done;
        forward_tell(f, failure);
        return;
    }
    if (!defined) {
        if (f->wanted && !f->done) /* it was there before netd was another */
            log_warning("network '%s': port %u is forwarded no more: %s", record->def.name,
                        f->spec.external_port, failure->why);
        forward_tell_and_free(record, f, failure);
        return;
    }
    put_off(record->b, f);
    say_refused(record, f, failure);
}

static struct record *asked_about(const struct forward_question *q, struct forward_entry **ret)
{
    struct record *record = record_find(q->b, q->network);
    struct forward_entry *f = record ? forward_by_serial(record, q->serial) : NULL;

    if (!f)
        return NULL; /* it went with its interface or network */
    *ret = f;
    return record;
}

static struct record *answered(struct forward_question *q, struct forward_entry **ret)
{
    struct backend_netd *b = q->b;
    struct record *record = asked_about(q, ret);

    TAILQ_REMOVE(&b->forward_questions, q, link);
    free(q);
    backend_schedule(b);
    if (record)
        (*ret)->asked = false;
    return record;
}

static void on_owner(void *arg, const struct port_owner *owner)
{
    struct forward_question *q = arg;
    const struct failure taken = q->taken;
    struct failure words = taken;
    struct forward_entry *f = NULL;
    struct record *record = answered(q, &f); /* which ends q */
    char text[PORT_OWNER_TEXT];

    if (!record)
        return;
    if (owner)
        (void)failure_set(&words, taken.err, "%.*s by %s", (int)sizeof words.why / 2, taken.why,
                          port_owner_words(owner, text));
    on_refused(record, f, &words);
}

/* netd knows that a port is taken. By whom, if not by us, the host knows: until that is found
 * out, netd's answer is not passed on. */
static bool asks_for_owner(struct forward_question *q, const struct failure *failure)
{
    struct backend_netd *b = q->b;
    struct forward_entry *f = NULL;

    if (failure->err != -EADDRINUSE || !asked_about(q, &f) || forward_taken(b, &f->spec, f))
        return false;
    q->taken = *failure;
    return owner_search_ask(b->owner_search, f->spec.protocol == NETD_UDP,
                            (uint16_t)f->spec.external_port, on_owner, q) == 0;
}

static void on_added(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct forward_entry *f = NULL;

    (void)answer;
    if (failure && asks_for_owner(arg, failure))
        return;
    struct record *record = answered(arg, &f);
    if (!record)
        return;
    if (failure) {
        on_refused(record, f, failure);
        return;
    }
    f->present = true;
    f->why[0] = '\0';
    f->refusals = 0;
    f->spec.flags |= NETD_FORWARD_LIVE;
    forward_tell(f, NULL);
}

static void on_removed(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct forward_entry *f = NULL;
    struct record *record = answered(arg, &f);

    (void)answer;
    if (!record)
        return;
    if (failure && failure->err != -ENOENT) {
        if (failure->err != -ECONNRESET) /* else the next netd is asked, at once */
            put_off(record->b, f);
        forward_tell(f, failure);
        return;
    }
    f->present = false;
    if (!f->wanted) /* else somebody has changed his mind meanwhile */
        forward_tell_and_free(record, f, NULL);
}

static int ask(struct record *record, struct forward_entry *f)
{
    struct backend_netd *b = record->b;
    struct forward_question *q = calloc(1, sizeof *q);
    struct netd_forward spec = f->spec;

    if (!q)
        return -ENOMEM;
    *q = (struct forward_question){ .b = b, .serial = f->serial };
    (void)str_copy(q->network, sizeof q->network, record->def.name);
    spec.flags &= ~(uint32_t)NETD_FORWARD_LIVE;
    int r = netd_line_ask(b->line, f->wanted ? NETD_ADD_FORWARD : NETD_REMOVE_FORWARD, &spec,
                          f->wanted ? on_added : on_removed, q);
    if (r < 0) {
        free(q);
        return r;
    }
    TAILQ_INSERT_TAIL(&b->forward_questions, q, link);
    f->asked = true;
    return 0;
}

static bool is_due(const struct record *record, const struct forward_entry *f, uint64_t now)
{
    return !f->asked && f->wanted != f->present && now >= f->not_before && record->present &&
           !record->removed.done;
}

/* One that is neither wanted nor there, or that netd cannot be asked for. */
static bool send_one(struct backend_netd *b, bool wanted)
{
    uint64_t now = monotonic_usec();
    struct record *record;
    struct forward_entry *f;

    TAILQ_FOREACH (record, &b->records, link)
        TAILQ_FOREACH (f, &record->handle.forwards, link) {
            if (f->wanted != wanted)
                continue;
            if (!f->wanted && !f->present && !f->asked) {
                forward_tell_and_free(record, f, NULL);
                return true;
            }
            if (!is_due(record, f, now))
                continue;
            if (ask(record, f) == -ENOMEM)
                return false; /* later, perhaps */
            return f->asked;
        }
    return false;
}

/* Those that go, first: their ports may be wanted for others. */
void forwards_send(struct backend_netd *b)
{
    if (!netd_line_is_up(b->line))
        return;
    while (send_one(b, false))
        ;
    while (send_one(b, true))
        ;
}

/* ---- life -------------------------------------------------------------------------- */

static int on_again(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source;
    (void)usec;
    backend_schedule(arg);
    return 0;
}

int forwards_init(struct backend_netd *b)
{
    int r = sd_event_add_time(b->event, &b->forwards_again, CLOCK_MONOTONIC, 0, 0, on_again, b);

    if (r >= 0)
        r = sd_event_source_set_enabled(b->forwards_again, SD_EVENT_OFF);
    return r < 0 ? r : owner_search_new(b->event, &b->owner_search);
}

void forwards_free(struct backend_netd *b)
{
    struct forward_question *q;

    owner_search_free(b->owner_search); /* before those that it would answer */
    while ((q = TAILQ_FIRST(&b->forward_questions))) {
        TAILQ_REMOVE(&b->forward_questions, q, link);
        free(q);
    }
    b->forwards_again = sd_event_source_disable_unref(b->forwards_again);
}
