/* SPDX-License-Identifier: Apache-2.0 */
/* backend_wishes.c - which forwards are wanted: clients' requests and a definition's list, in
 * netd's words. That netd gets them is backend_forwards.c's. */
#include "backend_record.h"

#include "mem.h"
#include "str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* ---- addresses --------------------------------------------------------------------- */

static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

/* As on netd's wire: IPv4 as ::ffff:192.0.2.1. */
static void put_address(const struct address *from, uint8_t to[static 16])
{
    uint32_t v4 = htonl(from->v4);

    if (from->version == 4) {
        memcpy(to, mapped, sizeof mapped);
        memcpy(to + sizeof mapped, &v4, sizeof v4);
    } else {
        memcpy(to, from->v6, sizeof from->v6);
    }
}

static struct address loopback(unsigned version)
{
    struct address a = { .version = version };

    if (version == 4)
        a.v4 = INADDR_LOOPBACK;
    else
        a.v6[15] = 1;
    return a;
}

static uint32_t family_of(unsigned version)
{
    return version == 6 ? NETD_IPV6 : NETD_IPV4;
}

/* ---- what a request means ---------------------------------------------------------- */

static const struct iface_entry *interface_of(const struct record *record,
                                              const struct forward_request *request)
{
    const struct iface_entry *e;

    if (request->interface_id)
        return entry_by_id(record, request->interface_id);
    TAILQ_FOREACH (e, &record->handle.interfaces, link)
        if (request->address.version == 4 && e->spec.ipv4 == request->address.v4)
            return e;
    return NULL;
}

/* Where clients connect. A network for this host only is reached from this host only. */
static void compose_door(const struct record *record, const struct forward_request *request,
                         uint32_t families, struct netd_forward *ret)
{
    struct address listen = request->listen;

    ret->protocol = request->protocol == FORWARD_TCP ? NETD_TCP : NETD_UDP;
    ret->external_port = request->external_port;
    ret->families = families;
    if (listen.version == 0 && record->handle.spec.mode == NET_MODE_HOST)
        listen = loopback(families & NETD_IPV4 ? 4 : 6);
    if (listen.version != 0) {
        ret->families = family_of(listen.version);
        put_address(&listen, ret->listen);
    }
}

static int compose(const struct record *record, const struct forward_request *request,
                   struct netd_forward *ret, struct failure *failure)
{
    const struct iface_entry *e = interface_of(record, request);
    struct address target = request->address;

    if (request->interface_id && !e)
        return failure_set(failure, -ENOENT, "there is no interface '%s'", request->interface_id);
    if (target.version == 0 && e && e->spec.ipv4 != 0)
        target = (struct address){ .version = 4, .v4 = e->spec.ipv4 };
    if (target.version == 0)
        return failure_set(failure, -EINVAL, "the interface has no IPv4 address: give its address");
    *ret = (struct netd_forward){ .uid = request->uid, .internal_port = request->internal_port };
    (void)str_copy(ret->network, sizeof ret->network, record->def.name);
    if (request->interface_id)
        (void)str_copy(ret->interface, sizeof ret->interface, request->interface_id);
    put_address(&target, ret->target);
    /* Who leads to a machine means all its clients, who leads to an address those of its kind. */
    compose_door(record, request,
                 request->address.version == 0 ? NETD_IPV4 | NETD_IPV6 : family_of(target.version),
                 ret);
    return 0;
}

/* ---- clients ----------------------------------------------------------------------- */

int forwards_add(void *self, const struct forward_request *request, backend_forwarded done,
                 void *arg, struct failure *why)
{
    struct backend_netd *b = self;
    struct record *record = record_find(b, request->network);
    struct netd_forward spec;

    if (!record || !record->held)
        return failure_set(why, -ENOENT, "the network does not exist");
    int r = compose(record, request, &spec, why);
    if (r < 0)
        return r;
    const struct forward_entry *other = forward_taken(b, &spec, NULL);
    if (other)
        return failure_set(why, -EADDRINUSE, "it is forwarded to a VM of network '%s' already",
                           other->spec.network);
    struct forward_entry *f = forward_new(record, &spec);
    r = f ? forward_wait(record, f, done, arg) : -ENOMEM;
    if (r == 0)
        return 0;
    if (f)
        forward_free(record, f);
    return failure_set(why, r, "%s", strerror(-r));
}

/* Of several at one door, one for each version of IP, the asker's own is meant first, and a
 * definition's last. */
static unsigned rank(const struct forward_entry *f, uid_t asker)
{
    return f->spec.flags & NETD_FORWARD_DEFINED ? 1 : f->spec.uid == asker ? 3 : 2;
}

/* The one that a request means; NULL: none. By its door alone, whatever it leads to. */
static struct forward_entry *meant(const struct backend_netd *b,
                                   const struct forward_request *request, struct record **ret)
{
    struct record *record = record_find(b, request->network);
    struct forward_entry *f, *best = NULL;
    struct netd_forward door = { 0 };

    if (!record)
        return NULL;
    *ret = record;
    compose_door(record, request, NETD_IPV4 | NETD_IPV6, &door);
    TAILQ_FOREACH (f, &record->handle.forwards, link)
        if (forward_is_at(f, &door) && (!best || rank(f, request->uid) > rank(best, request->uid)))
            best = f;
    return best;
}

int forwards_remove(void *self, const struct forward_request *request, backend_forwarded done,
                    void *arg, struct failure *why)
{
    struct backend_netd *b = self;
    struct record *record = NULL;
    struct forward_entry *f = meant(b, request, &record), *other;

    if (!f || f->done)
        return failure_set(why, f ? -EBUSY : -ENOENT, "it is %s",
                           f ? "just being added" : "not forwarded");
    int r = forward_wait(record, f, done, arg);
    if (r < 0)
        return failure_set(why, r, "%s", strerror(-r));
    f->wanted = false;
    while ((other = meant(b, request, &record)) && rank(other, f->spec.uid) == 3 && !other->done)
        other->wanted = false; /* the same user's, of the other version of IP */
    return 0;
}

struct forward_target forwards_target(void *self, const struct forward_request *request)
{
    const struct backend_netd *b = self;
    const struct record *record = record_find(b, request->network);
    const struct iface_entry *e = record ? interface_of(record, request) : NULL;

    /* An id does not make another's address its own; whose an IPv6 address is, nobody knows. */
    if (e && request->address.version != 0 &&
        (request->address.version != 4 || request->address.v4 != e->spec.ipv4))
        e = NULL;
    return (struct forward_target){ .live = e != NULL, .uid = e ? e->spec.uid : 0 };
}

int forwards_owner(void *self, const struct forward_request *request, uid_t *ret)
{
    struct record *record;
    const struct forward_entry *f = meant(self, request, &record);

    if (!f)
        return -ENOENT;
    *ret = f->spec.uid;
    return f->spec.flags & NETD_FORWARD_DEFINED ? -EPERM : 0;
}

unsigned forwards_of(void *self, uid_t uid)
{
    const struct backend_netd *b = self;
    const struct record *record;
    const struct forward_entry *f;
    unsigned n = 0;

    TAILQ_FOREACH (record, &b->records, link)
        TAILQ_FOREACH (f, &record->handle.forwards, link)
            n += f->wanted && !f->done && f->spec.uid == uid &&
                 !(f->spec.flags & NETD_FORWARD_DEFINED);
    return n;
}

/* ---- definitions ------------------------------------------------------------------- */

/* Of one of a definition, which only a network with a way out has. */
static struct netd_forward spec_of(const struct record *record, const struct forward *from)
{
    struct netd_forward spec = { .uid = getuid(),
                                 .flags = NETD_FORWARD_DEFINED,
                                 .protocol = from->protocol == FORWARD_TCP ? NETD_TCP : NETD_UDP,
                                 .families = family_of(from->address.version),
                                 .external_port = from->external_port,
                                 .internal_port = from->internal_port };

    (void)str_copy(spec.network, sizeof spec.network, record->def.name);
    put_address(&from->address, spec.target);
    return spec;
}

int forwards_define(struct record *record, const struct definition *def)
{
    struct forward_entry *f;

    TAILQ_FOREACH (f, &record->handle.forwards, link)
        if (f->spec.flags & NETD_FORWARD_DEFINED)
            f->wanted = false;
    for (size_t i = 0; i < def->n_forwards; i++) {
        const struct netd_forward spec = spec_of(record, &def->forwards[i]);

        f = forward_same(record, &spec);
        if (!f)
            f = forward_new(record, &spec);
        if (!f)
            return -ENOMEM;
        f->wanted = true;
        f->not_before = f->refusals = 0; /* whoever writes wants to see it tried */
    }
    backend_schedule(record->b);
    return 0;
}
