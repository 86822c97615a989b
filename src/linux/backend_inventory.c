/* SPDX-License-Identifier: Apache-2.0 */
/* backend_inventory.c - a netd lists what it has, and we compare.
 *
 * It happens whenever the line comes up: at our start, when networks of an earlier broker
 * are found, be it by a netd that we have to start first; and after netd's death, when what the
 * next one does not have is lost. First everything is taken over, then the core is told, since it
 * may call back.
 */
#include "backend_record.h"

#include "log.h"
#include "str.h"

#include <errno.h>
#include <string.h>

/* ---- the inventory ----------------------------------------------------------------- */

static int remember_network(struct record *record)
{
    const struct netd_network *spec = &record->handle.spec;
    struct memory_network *memory = memory_use(&record->b->memory, spec->name);
    if (!memory)
        return -ENOMEM;
    memory->subnet = (struct subnet4){ spec->ipv4_base, spec->ipv4_prefix };
    if (spec->ipv6_len != 0) {
        memory->prefix6.len = spec->ipv6_len;
        memcpy(memory->prefix6.addr, spec->ipv6, sizeof memory->prefix6.addr);
    }
    identity_table_move(&memory->identities, memory->subnet);
    memory->in_use = true;
    record->memory = memory;
    memory_file_changed(record->b->file);
    return 0;
}

static void take_network(struct backend_netd *b, const struct netd_network *spec)
{
    static const struct failure replaced = { -ENETDOWN, "another one has taken its place" };
    struct record *record = record_find(b, spec->name);
    if (record && record->present && strcmp(record->handle.spec.id, spec->id) != 0) {
        record_lost(record, &replaced);
        record = record_find(b, spec->name);
    }
    struct net_def def;
    spec_to_def(spec, &def);
    if (!record)
        record = record_new(b, &def);
    if (!record) {
        (void)log_failure(-ENOMEM, "network '%s': cannot adopt it", spec->name);
        return;
    }
    record_set_spec(record, spec);
    record->present = record->seen = true;
    update_repeat(record); /* it may be another netd */
    if (remember_network(record) < 0)
        (void)log_failure(-ENOMEM, "network '%s': cannot remember it", spec->name);
}

static void take_interface(struct backend_netd *b, const struct netd_interface *spec)
{
    struct record *record = record_find(b, spec->network);
    struct identity found = { .uid = spec->uid, .ipv4 = spec->ipv4 }, *identity;
    if (!record || !record->memory || entry_by_id(record, spec->id))
        return;
    memcpy(found.mac.b, spec->mac, sizeof found.mac.b);
    (void)str_copy(found.id, sizeof found.id, spec->id);
    (void)str_copy(found.name, sizeof found.name, spec->name);
    int r = identity_adopt(&record->memory->identities, &found, &identity);
    if (r == 0 && !entry_add(record, spec)) {
        identity_end(&record->memory->identities, identity);
        r = -ENOMEM;
    }
    if (r < 0)
        (void)log_failure(r, "network '%s': cannot adopt interface %s", spec->network, spec->tap);
}

static bool is_listed(const struct netd_inventory *inventory, const struct iface_entry *e)
{
    for (size_t i = 0; i < inventory->n_interfaces; i++)
        if (strcmp(inventory->interfaces[i].network, e->spec.network) == 0 &&
            strcmp(inventory->interfaces[i].id, e->spec.id) == 0)
            return true;
    return false;
}

static void drop_unlisted_interfaces(struct record *record, const struct netd_inventory *inventory)
{
    struct iface_entry *e = TAILQ_FIRST(&record->handle.interfaces);
    while (e) {
        struct iface_entry *next = TAILQ_NEXT(e, link);
        if (!is_listed(inventory, e))
            entry_remove(record, e);
        e = next;
    }
}

/* Does netd have something that the core does not know of? At our start it is all there
 * was. Later - we had to start a netd, which found what a dead one left - what nobody uses
 * is not worth a word: it will be removed. */
static bool is_news(const struct record *record)
{
    return record->present && !record->held && !record->built.done && !record->removed.done &&
           (record->b->adopting || record->live > 0);
}

/* Tells the core of one network; false when there is none left to tell of. */
static bool tell_one(struct backend_netd *b)
{
    static const struct failure lost = {
        -ENETDOWN, "vmnet-netd had to be started anew and does not have it any more"
    };
    struct record *record;
    TAILQ_FOREACH (record, &b->records, link)
        if (record->check)
            break;
    if (!record)
        return false;
    record->check = false;
    if (record->present && !record->seen) {
        record_lost(record, &lost);
    } else if (is_news(record)) {
        record->held = true;
        b->events.found(b->events.arg, &record->def, &record->handle, record->live);
    } else {
        tell_interfaces(record);
    }
    return true;
}

void inventory_take(struct backend_netd *b, const struct netd_inventory *inventory)
{
    struct record *record;

    TAILQ_FOREACH (record, &b->records, link)
        record->seen = false;
    for (size_t i = 0; i < inventory->n_networks; i++)
        take_network(b, &inventory->networks[i]);
    TAILQ_FOREACH (record, &b->records, link)
        drop_unlisted_interfaces(record, inventory);
    for (size_t i = 0; i < inventory->n_interfaces; i++)
        take_interface(b, &inventory->interfaces[i]);
    forwards_take(b, inventory);
    TAILQ_FOREACH (record, &b->records, link)
        record->check = true;
    while (tell_one(b))
        ;
    records_check_all(b);
}
