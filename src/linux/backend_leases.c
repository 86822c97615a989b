/* SPDX-License-Identifier: Apache-2.0 */
/* backend_leases.c - who has which address of a network.
 *
 * Three parties know a part of it: identities (what belongs to whom, and what is reserved),
 * the interfaces that are live, and dnsmasq, from which netd passes on what it gave out. An
 * address appears once, as the first of them has it.
 */
#include "backend_record.h"

#include "lease.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <string.h>

/* One address that DHCP has given out. */
struct given {
    TAILQ_ENTRY(given) link;
    uint32_t ipv4;
    struct mac mac;
    uint64_t expires;
};

/* ---- what netd tells ---------------------------------------------------------------- */

static struct given *given_find(const struct record *record, uint32_t ipv4)
{
    struct given *given;
    TAILQ_FOREACH (given, &record->given, link)
        if (given->ipv4 == ipv4)
            return given;
    return NULL;
}

static void forget(struct record *record, struct given *given)
{
    if (!given)
        return;
    TAILQ_REMOVE(&record->given, given, link);
    free(given);
}

void leases_clear_all(struct record *record)
{
    while (!TAILQ_EMPTY(&record->given))
        forget(record, TAILQ_FIRST(&record->given));
}

static void tell(const struct record *record, const struct netd_lease *lease)
{
    const struct iface_entry *e;
    struct netd_interface other = { .uid = (uint32_t)-1, .ipv4 = lease->ipv4 };

    memcpy(other.mac, lease->mac, sizeof other.mac);
    TAILQ_FOREACH (e, &record->handle.interfaces, link)
        if (memcmp(e->spec.mac, lease->mac, sizeof lease->mac) == 0)
            break;
    tell_interface(record, EVENT_ADDRESS_GIVEN, e ? &e->spec : &other);
}

void leases_take(struct backend_netd *b, const struct netd_lease *lease)
{
    struct record *record = record_find(b, lease->network);
    struct given *given = record ? given_find(record, lease->ipv4) : NULL;

    if (!record)
        return;
    if (lease->over) {
        forget(record, given);
        return;
    }
    bool known = given && memcmp(given->mac.b, lease->mac, sizeof lease->mac) == 0 &&
                 given->expires == lease->expires;
    if (!given && (given = calloc(1, sizeof *given)))
        TAILQ_INSERT_TAIL(&record->given, given, link);
    if (!given)
        return; /* it is not shown; the VM has it all the same */
    given->ipv4 = lease->ipv4;
    memcpy(given->mac.b, lease->mac, sizeof given->mac.b);
    given->expires = lease->expires;
    if (!known)
        tell(record, lease);
}

/* ---- what clients see --------------------------------------------------------------- */

struct list {
    struct lease_view *items;
    size_t n, room;
};

/* A place for an address that is not in the list yet; NULL: it is, or memory is short, which
 * leaves room 0. */
static struct lease_view *add(struct list *list, const struct record *record, uint32_t ipv4)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].ipv4 == ipv4 && strcmp(list->items[i].network, record->def.name) == 0)
            return NULL;
    if (list->n == list->room) {
        size_t room = 2 * list->room + 16;
        struct lease_view *more = reallocarray(list->items, room, sizeof *more);
        if (!more)
            return NULL;
        list->items = more;
        list->room = room;
    }
    struct lease_view *view = &list->items[list->n++];
    *view = (struct lease_view){ .ipv4 = ipv4, .uid = (uid_t)-1 };
    (void)str_copy(view->network, sizeof view->network, record->def.name);
    const struct given *given = given_find(record, ipv4);
    view->expires = given ? given->expires : 0;
    return view;
}

static void add_identities(struct list *list, const struct record *record, bool live)
{
    const struct identity *i;

    if (!record->memory)
        return;
    TAILQ_FOREACH (i, &record->memory->identities.list, link) {
        struct lease_view *view = i->live == live && i->ipv4 ? add(list, record, i->ipv4) : NULL;
        if (!view)
            continue;
        view->kind = live ? LEASE_LIVE : LEASE_REMEMBERED;
        view->mac = i->mac;
        view->uid = i->uid;
        (void)str_copy(view->name, sizeof view->name, i->name);
    }
}

static void add_reserved(struct list *list, const struct record *record)
{
    const struct reserved *reserved = &record->update.reserved;

    for (size_t i = 0; i < reserved->n; i++) {
        struct lease_view *view = add(list, record, reserved->list[i].ipv4);
        if (!view)
            continue;
        view->kind = LEASE_RESERVED;
        view->mac = reserved->list[i].mac;
        (void)str_copy(view->name, sizeof view->name, reserved->list[i].name);
    }
}

static void add_others(struct list *list, const struct record *record)
{
    const struct given *given;

    TAILQ_FOREACH (given, &record->given, link) {
        struct lease_view *view = add(list, record, given->ipv4);
        if (!view)
            continue;
        view->kind = LEASE_OTHER;
        view->mac = given->mac;
    }
}

static int by_address(const void *a, const void *b)
{
    const struct lease_view *x = a, *y = b;
    int r = strcmp(x->network, y->network);
    return r != 0 ? r : x->ipv4 < y->ipv4 ? -1 : x->ipv4 > y->ipv4;
}

int leases_list(void *self, const char *network, struct lease_view **ret, size_t *n)
{
    const struct backend_netd *b = self;
    const struct record *record;
    struct list list = { 0 };

    TAILQ_FOREACH (record, &b->records, link) {
        if (!record->held || (network && strcmp(network, record->def.name) != 0))
            continue;
        add_identities(&list, record, true);
        add_reserved(&list, record);
        add_identities(&list, record, false);
        add_others(&list, record);
    }
    if (list.n > 0)
        qsort(list.items, list.n, sizeof *list.items, by_address);
    *ret = list.items;
    *n = list.n;
    return 0;
}
