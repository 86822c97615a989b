/* SPDX-License-Identifier: Apache-2.0 */
/* backend_networks.c - builds and removes, until netd has what is wanted.
 *
 * See backend_record.h for the idea. The subnet is chosen at the moment in which BUILD is
 * sent, against the routes that the host has then.
 */
#include "backend_record.h"

#include "clock.h"
#include "host_routes.h"
#include "log.h"
#include "mem.h"
#include "str.h"
#include "subnet.h"

#include <errno.h>
#include <string.h>

/* ---- building ---------------------------------------------------------------------- */

/* What others have. Remembered and defined subnets of networks that do not exist now stand
 * aside only for a subnet that somebody wrote down. */
static int collect_taken(const struct record *record, struct taken_list *taken)
{
    const struct backend_netd *b = record->b;
    const struct record *other;
    const struct memory_network *m;
    int r = host_routes_read(taken, b->start.system ? NETD_HOST_LINKS : NULL);

    TAILQ_FOREACH (other, &b->records, link)
        if (r == 0 && other != record && other->handle.spec.ipv4_prefix != 0)
            r = taken_add(
                taken,
                (struct subnet4){ other->handle.spec.ipv4_base, other->handle.spec.ipv4_prefix },
                "network '%s'", other->def.name);
    if (r == 0)
        r = stranded_collect(b, taken);
    if (record->def.subnet.prefix != 0)
        return r;
    if (r == 0 && b->events.claimed)
        r = b->events.claimed(b->events.arg, record->def.name, taken);
    TAILQ_FOREACH (m, &b->memory.networks, link)
        if (r == 0 && m->subnet.prefix != 0 && strcmp(m->name, record->def.name) != 0)
            r = taken_add(taken, m->subnet, "network '%s', which remembers it", m->name);
    return r;
}

static int choose_subnet(const struct record *record, struct memory_network *memory,
                         struct subnet4 *ret, struct failure *failure)
{
    const struct subnet_wish wish = { .wanted = record->def.subnet,
                                      .remembered = memory->subnet,
                                      .live = identity_count_live(&memory->identities) > 0 };
    struct taken_list taken = { 0 };
    uint64_t began = monotonic_usec();
    int r = collect_taken(record, &taken);
    if (r < 0)
        (void)failure_set(failure, r, "cannot read the host's routes: %s", strerror(-r));
    else
        r = subnet_choose(&wish, &taken, ret, failure);
    log_debug("network '%s': compared with %zu ranges in %u us", record->def.name, taken.n,
              (unsigned)(monotonic_usec() - began));
    taken_clear(&taken);
    return r;
}

/* Fills in record->memory and what it remembers. */
static int choose_addresses(struct record *record, struct failure *failure)
{
    struct backend_netd *b = record->b;
    struct subnet4 subnet;
    char text4[SUBNET4_TEXT], text6[PREFIX6_TEXT];
    struct memory_network *memory = memory_use(&b->memory, record->def.name);
    if (!memory)
        return failure_set(failure, -ENOMEM, "out of memory");

    int r = choose_subnet(record, memory, &subnet, failure);
    if (r < 0)
        return r;
    bool same = memory->subnet.base == subnet.base && memory->subnet.prefix == subnet.prefix;
    memory->subnet = subnet;
    if (record->def.prefix6.len != 0)
        memory->prefix6 = record->def.prefix6;
    else if (memory->prefix6.len == 0 || stranded_has_prefix(b, &memory->prefix6))
        memory->prefix6 = prefix6_random(&random_system);
    identity_table_move(&memory->identities, subnet);
    memory->in_use = true;
    record->memory = memory;
    memory_file_changed(b->file);
    log_info("network '%s': subnet %s (%s), prefix %s", record->def.name,
             subnet4_format(subnet, text4), same ? "as before" : "new",
             prefix6_format(&memory->prefix6, text6));
    return 0;
}

static void compose_network(struct record *record)
{
    const struct memory_network *memory = record->memory;
    struct netd_network spec = { .ipv4_base = memory->subnet.base,
                                 .ipv4_prefix = memory->subnet.prefix,
                                 .ipv6_len = memory->prefix6.len };
    char uuid[UUID_TEXT];

    spec_set_keys(&spec, &record->def, record->b->idle_timeout_sec);
    (void)str_copy(spec.name, sizeof spec.name, record->def.name);
    (void)str_copy(spec.id, sizeof spec.id, uuid_random(&random_system, uuid));
    memcpy(spec.ipv6, memory->prefix6.addr, sizeof spec.ipv6);
    record_set_spec(record, &spec);
}

static void on_built(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct record *record = arg;
    (void)answer;
    record->busy = false;
    record->present = !failure;
    record->check = true;
    backend_schedule(record->b);
    if (failure) {
        struct failure f = creation_failure(failure);
        if (record->built.done)
            tell_build_failed(record, &f);
        else
            record_free_if_nothing(record);
    }
}

static void send_build(struct record *record)
{
    struct failure failure;
    int r = choose_addresses(record, &failure);
    if (r == 0) {
        update_forget(record);
        compose_network(record);
        r = netd_line_ask(record->b->line, NETD_BUILD, &record->handle.spec, on_built, record);
        if (r < 0)
            (void)failure_set(&failure, -ENETDOWN, "cannot ask vmnet-netd to build it: %s",
                              strerror(-r));
    }
    if (r < 0)
        tell_build_failed(record, &failure);
    else
        record->busy = true;
}

/* ---- removing ---------------------------------------------------------------------- */

static void on_removed(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct record *record = arg;

    (void)answer;
    record->busy = false;
    if (failure && failure->err != -ENOENT) {
        if (record->built.done)
            tell_build_failed(record, failure);
        else if (record->removed.done)
            tell_removed(record, failure);
        else /* a leftover: stays until netd or its last interface goes */
            log_warning("network '%s': vmnet-netd cannot remove it: %s", record->def.name,
                        failure->why);
        return;
    }
    record->present = false;
    forwards_gone(record, NULL);
    entries_remove_all(record);
    if (record->built.done) { /* wanted again meanwhile */
        record->check = true;
        backend_schedule(record->b);
    } else if (record->removed.done) {
        tell_removed(record, NULL);
    } else {
        record_free_if_nothing(record);
    }
}

static void send_remove(struct record *record)
{
    struct netd_name name = { 0 };
    struct failure failure;
    (void)str_copy(name.network, sizeof name.network, record->def.name);
    int r = netd_line_ask(record->b->line, NETD_REMOVE, &name, on_removed, record);
    if (r == 0) {
        record->busy = true;
        return;
    }
    (void)failure_set(&failure, -ENETDOWN, "cannot ask vmnet-netd to remove it: %s", strerror(-r));
    if (record->built.done)
        tell_build_failed(record, &failure);
    else
        tell_removed(record, &failure);
}

/* ---- the difference, and the next step --------------------------------------------- */

static void settle(struct record *record)
{
    if (record->busy || !netd_line_is_up(record->b->line))
        return;
    if (record->update.wanted && record->present && record->held && !record->removed.done) {
        update_send(record);
        return;
    }
    if (record->built.done && record->present &&
        (record->live > 0 || spec_is_as_defined(&record->handle.spec, &record->def)))
        tell_built(record); /* a leftover of an earlier time; not renewed under live VMs */
    else if (record->built.done && record->present)
        send_remove(record);
    else if (record->built.done)
        send_build(record);
    else if (record->present && (record->removed.done || (!record->held && record->live == 0)))
        send_remove(record);
    else if (record->removed.done)
        tell_removed(record, NULL);
}

void networks_settle(struct backend_netd *b)
{
    struct record *record = TAILQ_FIRST(&b->records);
    while (record) {
        if (!record->check) {
            record = TAILQ_NEXT(record, link);
            continue;
        }
        record->check = false;
        settle(record);
        record = TAILQ_FIRST(&b->records); /* whoever was told may have changed the list */
    }
}

static int on_impatience(sd_event_source *source, uint64_t usec, void *arg)
{
    struct record *record = arg;
    struct failure failure;
    (void)source;
    (void)usec;
    timer_end(&record->timer);
    (void)failure_set(&failure, -ETIMEDOUT, "vmnet-netd did not answer within %u s",
                      (unsigned)(record->b->request_usec / 1000000));
    if (record->built.done)
        tell_build_failed(record, &failure);
    else
        tell_removed(record, &failure);
    return 0;
}

static void wait_patiently(struct record *record)
{
    timer_end(&record->timer);
    (void)sd_event_add_time_relative(record->b->event, &record->timer, CLOCK_MONOTONIC,
                                     record->b->request_usec, 0, on_impatience, record);
}

/* Reservations and forwards come with the first update(). */
int networks_build(void *self, struct definition *def, backend_built done, void *arg)
{
    struct backend_netd *b = self;
    struct record *record = record_find(b, def->net.name);
    if (record && (record->held || record->built.done))
        return -EEXIST;
    if (!record)
        record = record_new(b, &def->net);
    if (!record)
        return -ENOMEM;
    record->def = def->net;
    record->built.done = done;
    record->built.arg = arg;
    wait_patiently(record);
    record->check = true;
    backend_schedule(b);
    return 0;
}

int networks_remove(void *self, const char *net_name, backend_removed done, void *arg)
{
    struct backend_netd *b = self;
    struct record *record = record_find(b, net_name);
    if (!record)
        return -ENOENT;
    if (record->built.done || record->removed.done)
        return -EBUSY;
    record->removed.done = done;
    record->removed.arg = arg;
    wait_patiently(record);
    record->check = true;
    backend_schedule(b);
    return 0;
}

void networks_drop(void *self, struct net_handle *handle)
{
    struct backend_netd *b = self;
    if (!handle)
        return;
    struct record *record = container_of(handle, struct record, handle);
    record->held = false;
    if (!record->listed) {
        record_free(record);
    } else {
        record->check = true;
        backend_schedule(b);
        record_free_if_nothing(record);
    }
}

bool networks_waiting(const struct backend_netd *b)
{
    const struct record *record;
    TAILQ_FOREACH (record, &b->records, link)
        if (record->built.done || record->removed.done)
            return true;
    return false;
}

void networks_fail_all(struct backend_netd *b, const struct failure *failure)
{
    struct record *record = TAILQ_FIRST(&b->records);
    while (record) {
        if (record->built.done) {
            tell_build_failed(record, failure);
        } else if (record->removed.done) {
            tell_removed(record, failure);
        } else {
            record = TAILQ_NEXT(record, link);
            continue;
        }
        record = TAILQ_FIRST(&b->records); /* whoever was told may have changed the list */
    }
}
