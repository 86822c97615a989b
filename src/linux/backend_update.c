/* SPDX-License-Identifier: Apache-2.0 */
/* backend_update.c - what changes while VMs run: reservations, forwards and the idle time.
 *
 * Identities know of a reservation at once, netd a moment later, but before the next TAP:
 * UPDATE goes out ahead of OPEN_TAP. A list is told in pieces, one after the other; a list
 * that changes meanwhile is told from the beginning, and so is every list to a new netd.
 * Forwards are backend_forwards.c's.
 */
#include "backend_record.h"

#include "log.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <string.h>

static void update_begin(struct record *record)
{
    record->update.given = record->update.wanted = true;
    record->update.again = record->busy;
    record->update.next = 0;
    record->check = true;
    backend_schedule(record->b);
}

int networks_update(void *self, const struct definition *def)
{
    struct backend_netd *b = self;
    struct record *record = record_find(b, def->net.name);
    if (!record || !record->held || !record->memory)
        return -ENOENT;
    int r = reserved_copy(&record->update.reserved, def->reservations, def->n_reservations,
                          record->memory->subnet);
    if (r == 0)
        r = identity_table_reserve(&record->memory->identities, def->reservations,
                                   def->n_reservations);
    if (r == 0)
        r = forwards_define(record, def);
    if (r < 0)
        return r;
    record->def.idle_timeout_sec = def->net.idle_timeout_sec;
    record->handle.spec.idle_timeout_sec =
        def->net.idle_timeout_sec == UINT32_MAX ? b->idle_timeout_sec : def->net.idle_timeout_sec;
    memory_file_changed(b->file);
    update_begin(record);
    return 0;
}

void update_repeat(struct record *record)
{
    record->update.wanted = record->update.given;
    record->update.next = 0;
}

void update_forget(struct record *record)
{
    reserved_clear(&record->update.reserved);
    memset(&record->update, 0, sizeof record->update);
    if (record->memory)
        (void)identity_table_reserve(&record->memory->identities, NULL, 0);
}

void tell_applied(const struct record *record, const struct failure *failure)
{
    const struct backend_netd *b = record->b;
    b->events.applied(b->events.arg, record->def.name, failure);
}

/* A line that went down tells nothing of the list: it is told again when it is up. */
static void on_updated(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    static const struct failure gone = { -ENETDOWN, "it is gone from vmnet-netd" };
    struct record *record = arg;

    (void)answer;
    record->busy = false;
    record->check = true;
    backend_schedule(record->b);
    if (!record->present) {
        record_lost(record, &gone);
        return;
    }
    if (record->update.again) {
        record->update.again = false;
        return;
    }
    record->update.next += record->update.asked;
    if (!failure && record->update.next < record->update.reserved.n)
        return;
    record->update.wanted = false;
    if (record->held && (!failure || failure->err != -ECONNRESET))
        tell_applied(record, failure);
}

static void compose_update(const struct record *record, struct netd_update *ret)
{
    const struct reserved *all = &record->update.reserved;
    size_t first = record->update.next, n = all->n - first;

    *ret =
        (struct netd_update){ .idle_timeout_sec = record->handle.spec.idle_timeout_sec,
                              .total = (uint32_t)all->n,
                              .first = (uint32_t)first,
                              .count = (uint32_t)(n < NETD_RESERVATIONS ? n : NETD_RESERVATIONS) };
    (void)str_copy(ret->network, sizeof ret->network, record->def.name);
    for (uint32_t i = 0; i < ret->count; i++) {
        const struct reservation *from = &all->list[first + i];
        struct netd_reservation *to = &ret->reservations[i];
        to->ipv4 = from->ipv4;
        memcpy(to->mac, from->mac.b, sizeof to->mac);
        (void)str_copy(to->name, sizeof to->name, from->name);
    }
}

void update_send(struct record *record)
{
    struct netd_update update;

    compose_update(record, &update);
    record->update.asked = update.count;
    int r = netd_line_ask(record->b->line, NETD_UPDATE, &update, on_updated, record);
    if (r == 0) {
        record->busy = true;
        return;
    }
    struct failure failure;
    record->update.wanted = false;
    (void)failure_set(&failure, -ENETDOWN, "cannot tell vmnet-netd: %s", strerror(-r));
    tell_applied(record, &failure);
}
