/* SPDX-License-Identifier: Apache-2.0 */
/* backend_forwards.c - ports of the host that lead to VMs, until netd has those that are wanted.
 *
 * Clients' forwards are wanted until they are removed, or until their interface or network
 * goes; those of a definition as long as it says so. Each is a difference between what is
 * wanted and what netd has, as networks are. What netd refuses a client is gone; what it
 * refuses a definition is tried again, because whoever has the port may leave.
 */
#include "backend_record.h"

#include "log.h"
#include "loop_sdevent.h"
#include "mem.h"
#include "owner_search.h"
#include "str.h"

#include <errno.h>
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

/* Who waits hears of it once; the entry stays. */
static void tell(struct forward_entry *f, const struct failure *failure)
{
    backend_forwarded done = f->done;

    timer_end(&f->timer);
    f->done = NULL;
    if (done)
        done(f->arg, failure);
}

/* The last word on one that is gone. Whoever is told may do anything: so that is last. */
static void tell_and_free(struct record *record, struct forward_entry *f,
                          const struct failure *failure)
{
    backend_forwarded done = f->done;
    void *arg = f->arg;

    forward_free(record, f);
    if (done)
        done(arg, failure);
}

static struct forward_entry *by_serial(const struct record *record, unsigned serial)
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

/* Another one that wants the same port of the host, on any network. */
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
        tell(f, failure);
        return;
    }
    if (!defined) {
        if (f->wanted && !f->done) /* it was there before netd was another */
            log_warning("network '%s': port %u is forwarded no more: %s", record->def.name,
                        f->spec.external_port, failure->why);
        tell_and_free(record, f, failure);
        return;
    }
    put_off(record->b, f);
    say_refused(record, f, failure);
}

static struct record *asked_about(const struct forward_question *q, struct forward_entry **ret)
{
    struct record *record = record_find(q->b, q->network);
    struct forward_entry *f = record ? by_serial(record, q->serial) : NULL;

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
    tell(f, NULL);
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
        tell(f, failure);
        return;
    }
    f->present = false;
    if (!f->wanted) /* else somebody has changed his mind meanwhile */
        tell_and_free(record, f, NULL);
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
                tell_and_free(record, f, NULL);
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
        tell(f, failure);
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
    tell(f, &failure);
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
        tell_and_free(record, f, f->wanted ? &gone : NULL);
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

/* ---- what is wrong ----------------------------------------------------------------- */

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
