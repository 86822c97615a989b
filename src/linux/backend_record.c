/* SPDX-License-Identifier: Apache-2.0 */
#include "backend_record.h"

#include "mem.h"
#include "str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void random_fill(void *arg, void *buf, size_t len)
{
    (void)arg;
    char *to = buf;
    while (len > 0) {
        ssize_t n = getrandom(to, len, 0);
        if (n < 0)
            continue; /* EINTR; nothing else can happen */
        to += n;
        len -= (size_t)n;
    }
}

const struct random_source random_system = { random_fill, NULL };

void backend_schedule(struct backend_netd *b)
{
    (void)sd_event_source_set_enabled(b->soon, SD_EVENT_ONESHOT);
}

void timer_end(sd_event_source **timer)
{
    *timer = sd_event_source_disable_unref(*timer);
}

struct failure creation_failure(const struct failure *failure)
{
    struct failure f = *failure;
    if (f.err != -EADDRINUSE && f.err != -EADDRNOTAVAIL && f.err != -ENOMEM && f.err != -ETIMEDOUT)
        f.err = -ENETDOWN;
    return f;
}
/* ---- interfaces of a record -------------------------------------------------------- */

struct iface_entry *entry_by_id(const struct record *record, const char *id)
{
    struct iface_entry *e;
    TAILQ_FOREACH (e, &record->handle.interfaces, link)
        if (strcmp(e->spec.id, id) == 0)
            return e;
    return NULL;
}

struct iface_entry *entry_add(struct record *record, const struct netd_interface *spec)
{
    struct iface_entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->spec = *spec;
    TAILQ_INSERT_TAIL(&record->handle.interfaces, e, link);
    record->live++;
    return e;
}

void identity_give_back(struct backend_netd *b, const char *network, const char *id)
{
    struct memory_network *memory = memory_find(&b->memory, network);
    struct identity *identity = memory ? identity_by_id(&memory->identities, id) : NULL;
    if (!identity || !identity->live)
        return;
    if (!identity->ephemeral)
        memory_file_changed(b->file);
    identity_end(&memory->identities, identity);
}

void entry_remove(struct record *record, struct iface_entry *e)
{
    TAILQ_REMOVE(&record->handle.interfaces, e, link);
    record->live--;
    identity_give_back(record->b, record->handle.spec.name, e->spec.id);
    free(e);
}

void entries_remove_all(struct record *record)
{
    struct iface_entry *e;
    while ((e = TAILQ_FIRST(&record->handle.interfaces)))
        entry_remove(record, e);
}

void tell_interface(const struct record *record, enum event_kind kind,
                    const struct netd_interface *spec)
{
    const struct backend_netd *b = record->b;
    struct event_interface interface = { .uid = spec->uid,
                                         .id = spec->id,
                                         .name = spec->name[0] ? spec->name : NULL,
                                         .ipv4 = spec->ipv4 };
    const struct event event = {
        .kind = kind, .network = record->def.name, .interface = &interface, .count = record->live
    };

    memcpy(interface.mac.b, spec->mac, sizeof interface.mac.b);
    if (record->held && b->events.happened)
        b->events.happened(b->events.arg, &event);
}

void tell_interfaces(const struct record *record)
{
    const struct backend_netd *b = record->b;
    if (record->held)
        b->events.interfaces(b->events.arg, record->def.name, record->live);
}

/* ---- records ----------------------------------------------------------------------- */

struct record *record_find(const struct backend_netd *b, const char *name)
{
    struct record *record;
    TAILQ_FOREACH (record, &b->records, link)
        if (strcmp(record->def.name, name) == 0)
            return record;
    return NULL;
}

void record_set_spec(struct record *record, const struct netd_network *spec)
{
    record->handle.spec = *spec;
    if (spec->uplink == UPLINK_USER || spec->external_interface[0] != '\0')
        record->uplink[0] = '\0';
    record->handle.uplink = record->uplink[0] != '\0' ? record->uplink : uplink_of(record->b, spec);
}

struct record *record_new(struct backend_netd *b, const struct net_def *def)
{
    struct record *record = calloc(1, sizeof *record);
    if (!record)
        return NULL;
    record->b = b;
    record->def = *def;
    record->handle.uplink = "none";
    TAILQ_INIT(&record->handle.interfaces);
    TAILQ_INIT(&record->given);
    TAILQ_INIT(&record->handle.forwards);
    TAILQ_INSERT_TAIL(&b->records, record, link);
    record->listed = true;
    return record;
}

static void record_unlist(struct record *record)
{
    if (!record->listed)
        return;
    TAILQ_REMOVE(&record->b->records, record, link);
    record->listed = false;
    timer_end(&record->timer);
    if (record->memory)
        record->memory->in_use = false;
    record->memory = NULL;
}

void record_free(struct record *record)
{
    leases_clear_all(record);
    forwards_forget(record);
    entries_remove_all(record);
    record_unlist(record);
    reserved_clear(&record->update.reserved);
    free(record);
}

void record_free_if_nothing(struct record *record)
{
    if (!record->held && !record->present && !record->busy && !record->built.done &&
        !record->removed.done)
        record_free(record);
}

void tell_built(struct record *record)
{
    struct backend_netd *b = record->b;
    backend_built done = record->built.done;
    char name[NAME_SIZE];
    unsigned live = record->live;

    memcpy(name, record->def.name, sizeof name);
    timer_end(&record->timer);
    record->built.done = NULL;
    record->held = true;
    done(record->built.arg, NULL, &record->handle);
    if (live > 0) /* VMs of an earlier life of the broker */
        b->events.interfaces(b->events.arg, name, live);
}

void tell_build_failed(struct record *record, const struct failure *failure)
{
    backend_built done = record->built.done;
    void *arg = record->built.arg;
    if (!done)
        return;
    timer_end(&record->timer);
    record->built.done = NULL;
    record_free_if_nothing(record);
    done(arg, failure, NULL);
}

void tell_removed(struct record *record, const struct failure *failure)
{
    backend_removed done = record->removed.done;
    void *arg = record->removed.arg;
    if (!done)
        return;
    timer_end(&record->timer);
    record->removed.done = NULL;
    record_free_if_nothing(record);
    done(arg, failure);
}

/* The core drops what it holds of it, from inside lost(). */
void record_lost(struct record *record, const struct failure *failure)
{
    struct backend_netd *b = record->b;
    char name[NAME_SIZE];

    memcpy(name, record->def.name, sizeof name);
    forwards_gone(record, NULL);
    entries_remove_all(record);
    record->present = false;
    if (record->busy)
        return; /* the answer to what is under way tells the rest */
    if (record->removed.done) {
        tell_removed(record, NULL); /* just what was wanted */
        return;
    }
    if (record->built.done) { /* build it anew */
        record->check = true;
        backend_schedule(b);
        return;
    }
    record_unlist(record);
    if (record->held)
        b->events.lost(b->events.arg, name, failure);
    else
        record_free(record);
}

void records_check_all(struct backend_netd *b)
{
    struct record *record;
    TAILQ_FOREACH (record, &b->records, link)
        record->check = true;
    backend_schedule(b);
}
