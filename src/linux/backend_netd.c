/* SPDX-License-Identifier: Apache-2.0 */
/* backend_netd.c - the Linux backend: what is wanted, what netd has, and the difference.
 *
 * For each network there is one record that says both: what the core wants (a build or a
 * removal that waits for its answer, a handle that the core holds) and what netd has
 * (present, or something under way). settle() compares the two and takes the next step:
 * nothing more is needed when a request times out and is answered later, when netd dies
 * with requests under way, or when the core asks for a network that is still being
 * removed - each is only a difference that settles once netd has answered or listed what
 * it has.
 *
 * The records:
 *     wants        built.done / removed.done waits, or held, or live interfaces
 *     netd's       present, busy (BUILD or REMOVE under way)
 * A record goes when neither side has anything of it.
 *
 * The core's callbacks are called from the loop only, never from inside its own calls,
 * and may call back at once; so nobody here keeps a pointer across them.
 */
#include "backend_netd.h"

#include "closer.h"
#include "host_routes.h"
#include "log.h"
#include "mem.h"
#include "memory_file.h"
#include "net_handle.h"
#include "netd_line.h"
#include "str.h"
#include "subnet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#ifndef REQUEST_USEC                         /* a test has less patience */
#define RUNNING_NETD_USEC UINT64_C(2000000)  /* what a hung netd may cost at our start */
#define REQUEST_USEC      UINT64_C(30000000) /* a client's patience; a build takes 10 ms */
#endif
#define STATS_USEC UINT64_C(1500000) /* inspect() promises two seconds */
#define LEAVE_USEC UINT64_C(3000000)

struct backend_netd {
    sd_event *event;
    struct backend_events events;
    struct netd_start_config start;
    uint32_t idle_timeout_sec;
    struct netd_line *line;
    struct memory memory;
    struct memory_file *file;
    sd_event_source *soon; /* runs on_soon() once, when enabled */
    TAILQ_HEAD(, record) records;
    TAILQ_HEAD(, starting) startings;
    TAILQ_HEAD(, inspection) inspections;
    char uplink[NETD_WHY_SIZE]; /* handles of shared networks point here */
    bool adopting;              /* until backend_netd_new() returns */
};

/* One network. The handle is part of it, so that what the core holds stays up to date. */
struct record {
    TAILQ_ENTRY(record) link; /* while listed */
    struct backend_netd *b;
    struct net_def def;
    struct net_handle handle;      /* .spec is what netd has, or was asked for */
    struct memory_network *memory; /* NULL until a subnet is chosen */
    bool listed;                   /* false: gone, and the core has yet to drop it */
    bool held, present, busy;
    bool check; /* settle() has something to look at */
    bool seen;  /* in the inventory just read */
    unsigned live;
    struct {
        backend_built done;
        void *arg;
    } built;
    struct {
        backend_removed done;
        void *arg;
    } removed;
    sd_event_source *timer; /* the patience of whoever waits */
};

/* One StartInterface under way. */
struct starting {
    TAILQ_ENTRY(starting) link;
    struct backend_netd *b;
    char network[NAME_SIZE], id[IFACE_ID_SIZE], name[NAME_SIZE];
    struct mac mac;
    bool has_id, has_name, has_mac, offload, isolated;
    bool asked; /* netd has been asked: only its answer ends this */
    unsigned queues;
    uid_t uid;
    backend_started done; /* NULL: has been told already */
    void *arg;
    sd_event_source *timer;
};

struct inspection {
    TAILQ_ENTRY(inspection) link;
    struct backend_netd *b;
    bool asked;
    backend_inspected done; /* NULL: has been told already */
    void *arg;
    sd_event_source *timer;
};

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

static const struct random_source random_system = { random_fill, NULL };

static void schedule(struct backend_netd *b)
{
    (void)sd_event_source_set_enabled(b->soon, SD_EVENT_ONESHOT);
}

static void stop_timer(sd_event_source **timer)
{
    *timer = sd_event_source_disable_unref(*timer);
}

/* A failure of the system's side while something is created. netd's -EPERM means that
 * the kernel said no to netd, not that a policy said no to the client. */
static struct failure creation_failure(const struct failure *failure)
{
    struct failure f = *failure;
    if (f.err != -EADDRINUSE && f.err != -EADDRNOTAVAIL && f.err != -ENOMEM && f.err != -ETIMEDOUT)
        f.err = -ENETDOWN;
    return f;
}

/* ---- interfaces of a record ------------------------------------------------------- */

static struct iface_entry *entry_by_id(const struct record *record, const char *id)
{
    struct iface_entry *e;
    TAILQ_FOREACH (e, &record->handle.interfaces, link)
        if (strcmp(e->spec.id, id) == 0)
            return e;
    return NULL;
}

static struct iface_entry *entry_add(struct record *record, const struct netd_interface *spec)
{
    struct iface_entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->spec = *spec;
    TAILQ_INSERT_TAIL(&record->handle.interfaces, e, link);
    record->live++;
    return e;
}

static void identity_give_back(struct backend_netd *b, const char *network, const char *id)
{
    struct memory_network *memory = memory_find(&b->memory, network);
    struct identity *identity = memory ? identity_by_id(&memory->identities, id) : NULL;
    if (identity && identity->live) {
        identity_end(&memory->identities, identity);
        memory_file_changed(b->file);
    }
}

static void entry_remove(struct record *record, struct iface_entry *e)
{
    TAILQ_REMOVE(&record->handle.interfaces, e, link);
    record->live--;
    identity_give_back(record->b, record->handle.spec.name, e->spec.id);
    free(e);
}

static void tell_interfaces(const struct record *record)
{
    const struct backend_netd *b = record->b;
    if (record->held)
        b->events.interfaces(b->events.arg, record->def.name, record->live);
}

/* ---- records ------------------------------------------------------------------------ */

static struct record *record_find(const struct backend_netd *b, const char *name)
{
    struct record *record;
    TAILQ_FOREACH (record, &b->records, link)
        if (strcmp(record->def.name, name) == 0)
            return record;
    return NULL;
}

static void set_spec(struct record *record, const struct netd_network *spec)
{
    record->handle.spec = *spec;
    record->handle.uplink = spec->mode == NET_MODE_SHARED ? record->b->uplink : "none";
}

static struct record *record_new(struct backend_netd *b, const struct net_def *def)
{
    struct record *record = calloc(1, sizeof *record);
    if (!record)
        return NULL;
    record->b = b;
    record->def = *def;
    record->handle.uplink = "none";
    TAILQ_INIT(&record->handle.interfaces);
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
    stop_timer(&record->timer);
    if (record->memory)
        record->memory->in_use = false;
    record->memory = NULL;
}

static void record_free(struct record *record)
{
    struct iface_entry *e;
    while ((e = TAILQ_FIRST(&record->handle.interfaces)))
        entry_remove(record, e);
    record_unlist(record);
    free(record);
}

static void record_free_if_nothing(struct record *record)
{
    if (!record->held && !record->present && !record->busy && !record->built.done &&
        !record->removed.done)
        record_free(record);
}

static int on_impatience(sd_event_source *source, uint64_t usec, void *arg);

static void wait_patiently(struct record *record)
{
    stop_timer(&record->timer);
    (void)sd_event_add_time_relative(record->b->event, &record->timer, CLOCK_MONOTONIC,
                                     REQUEST_USEC, 0, on_impatience, record);
}

/* The four ways in which somebody who waited is told. Each forgets who waited before it
 * calls, and the record may be gone afterwards. */
static void tell_built(struct record *record)
{
    struct backend_netd *b = record->b;
    backend_built done = record->built.done;
    char name[NAME_SIZE];
    unsigned live = record->live;

    memcpy(name, record->def.name, sizeof name);
    stop_timer(&record->timer);
    record->built.done = NULL;
    record->held = true;
    done(record->built.arg, NULL, &record->handle);
    if (live > 0) /* VMs of an earlier life of the broker */
        b->events.interfaces(b->events.arg, name, live);
}

static void tell_build_failed(struct record *record, const struct failure *failure)
{
    backend_built done = record->built.done;
    void *arg = record->built.arg;
    if (!done)
        return;
    stop_timer(&record->timer);
    record->built.done = NULL;
    record_free_if_nothing(record);
    done(arg, failure, NULL);
}

static void tell_removed(struct record *record, const struct failure *failure)
{
    backend_removed done = record->removed.done;
    void *arg = record->removed.arg;
    if (!done)
        return;
    stop_timer(&record->timer);
    record->removed.done = NULL;
    record_free_if_nothing(record);
    done(arg, failure);
}

/* A network that netd had is gone without our asking. The core drops what it holds. */
static void record_lost(struct record *record, const struct failure *failure)
{
    struct backend_netd *b = record->b;
    struct iface_entry *e;
    char name[NAME_SIZE];

    memcpy(name, record->def.name, sizeof name);
    while ((e = TAILQ_FIRST(&record->handle.interfaces)))
        entry_remove(record, e);
    record->present = false;
    if (record->busy)
        return; /* the answer to what is under way tells the rest */
    if (record->removed.done) {
        tell_removed(record, NULL); /* just what was wanted */
        return;
    }
    if (record->built.done) { /* build it anew */
        record->check = true;
        schedule(b);
        return;
    }
    record_unlist(record);
    if (record->held)
        b->events.lost(b->events.arg, name, failure);
    else
        record_free(record);
}

/* ---- building ------------------------------------------------------------------------- */

/* What others have. Remembered subnets of networks that do not exist now stand aside
 * only for a subnet that somebody wrote down. */
static int collect_taken(const struct record *record, struct taken_list *taken)
{
    const struct backend_netd *b = record->b;
    const struct record *other;
    const struct memory_network *m;
    int r = host_routes_read(taken);

    TAILQ_FOREACH (other, &b->records, link)
        if (r == 0 && other != record && other->handle.spec.ipv4_prefix != 0)
            r = taken_add(
                taken,
                (struct subnet4){ other->handle.spec.ipv4_base, other->handle.spec.ipv4_prefix },
                "network '%s'", other->def.name);
    if (record->def.subnet.prefix != 0)
        return r;
    TAILQ_FOREACH (m, &b->memory.networks, link)
        if (r == 0 && m->subnet.prefix != 0 && strcmp(m->name, record->def.name) != 0)
            r = taken_add(taken, m->subnet, "network '%s', which remembers it", m->name);
    return r;
}

static int choose_subnet(const struct record *record, struct memory_network *memory,
                         struct subnet4 *ret, struct failure *failure)
{
    const struct subnet_wish wish = { .network = record->def.name,
                                      .wanted = record->def.subnet,
                                      .remembered = memory->subnet,
                                      .live = identity_count_live(&memory->identities) > 0 };
    struct taken_list taken = { 0 };
    uint64_t began = monotonic_usec();
    int r = collect_taken(record, &taken);
    if (r < 0)
        (void)failure_set(failure, r, "network '%s': cannot read the host's routes: %s",
                          record->def.name, strerror(-r));
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
        return failure_set(failure, -ENOMEM, "network '%s': out of memory", record->def.name);

    int r = choose_subnet(record, memory, &subnet, failure);
    if (r < 0)
        return r;
    bool same = memory->subnet.base == subnet.base && memory->subnet.prefix == subnet.prefix;
    memory->subnet = subnet;
    if (record->def.prefix6.len != 0)
        memory->prefix6 = record->def.prefix6;
    else if (memory->prefix6.len == 0)
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

static uint32_t flags_of(const struct net_def *def)
{
    return (def->nat44 ? NETD_NET_NAT44 : 0u) | (def->nat66 ? NETD_NET_NAT66 : 0u) |
           (def->dhcp ? NETD_NET_DHCP : 0u) | (def->dns_proxy ? NETD_NET_DNS : 0u) |
           (def->router_advertisement ? NETD_NET_RA : 0u) |
           (def->isolation ? NETD_NET_ISOLATED : 0u);
}

static void compose_network(struct record *record)
{
    const struct net_def *def = &record->def;
    const struct memory_network *memory = record->memory;
    struct netd_network spec = { .mode = def->mode,
                                 .anti_spoofing = def->anti_spoofing,
                                 .flags = flags_of(def),
                                 .mtu = def->mtu,
                                 .ipv4_base = memory->subnet.base,
                                 .ipv4_prefix = memory->subnet.prefix,
                                 .ipv6_len = memory->prefix6.len,
                                 .idle_timeout_sec = def->idle_timeout_sec == UINT32_MAX
                                                         ? record->b->idle_timeout_sec
                                                         : def->idle_timeout_sec };
    char uuid[UUID_TEXT];

    (void)str_copy(spec.name, sizeof spec.name, def->name);
    (void)str_copy(spec.id, sizeof spec.id, uuid_random(&random_system, uuid));
    memcpy(spec.ipv6, memory->prefix6.addr, sizeof spec.ipv6);
    set_spec(record, &spec);
}

static void on_built(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct record *record = arg;
    (void)answer;
    record->busy = false;
    record->present = !failure;
    record->check = true;
    schedule(record->b);
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

/* ---- removing ------------------------------------------------------------------------- */

static void on_removed(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct record *record = arg;
    struct iface_entry *e;

    (void)answer;
    record->busy = false;
    if (failure && failure->err != -ENOENT) {
        if (record->removed.done)
            tell_removed(record, failure);
        else /* a leftover: stays until netd or its last interface goes */
            log_warning("network '%s': vmnet-netd cannot remove it: %s", record->def.name,
                        failure->why);
        return;
    }
    record->present = false;
    while ((e = TAILQ_FIRST(&record->handle.interfaces)))
        entry_remove(record, e);
    if (record->built.done) { /* wanted again meanwhile */
        record->check = true;
        schedule(record->b);
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
    tell_removed(record, &failure);
}

/* ---- the difference, and the next step --------------------------------------------------- */

static void settle(struct record *record)
{
    if (record->busy || !netd_line_is_up(record->b->line))
        return;
    if (record->built.done && record->present)
        tell_built(record);
    else if (record->built.done)
        send_build(record);
    else if (record->present && (record->removed.done || (!record->held && record->live == 0)))
        send_remove(record);
    else if (record->removed.done)
        tell_removed(record, NULL);
}

static void settle_all(struct backend_netd *b)
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
    stop_timer(&record->timer);
    (void)failure_set(&failure, -ETIMEDOUT, "vmnet-netd did not answer within %u s",
                      (unsigned)(REQUEST_USEC / 1000000));
    if (record->built.done)
        tell_build_failed(record, &failure);
    else
        tell_removed(record, &failure);
    return 0;
}

static int netd_build(void *self, const struct net_def *def, backend_built done, void *arg)
{
    struct backend_netd *b = self;
    struct record *record = record_find(b, def->name);
    if (record && (record->held || record->built.done))
        return -EEXIST;
    if (!record)
        record = record_new(b, def);
    if (!record)
        return -ENOMEM;
    if (!record->present)
        record->def = *def;
    record->built.done = done;
    record->built.arg = arg;
    wait_patiently(record);
    record->check = true;
    schedule(b);
    return 0;
}

static int netd_remove(void *self, const char *net_name, backend_removed done, void *arg)
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
    schedule(b);
    return 0;
}

static void netd_drop(void *self, struct net_handle *handle)
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
        schedule(b);
        record_free_if_nothing(record);
    }
}

/* ---- interfaces ---------------------------------------------------------------------------- */

static void starting_free(struct starting *s)
{
    TAILQ_REMOVE(&s->b->startings, s, link);
    stop_timer(&s->timer);
    free(s);
}

/* Tells, once. Somebody who is still to hear from netd stays. */
static void starting_tell(struct starting *s, const struct failure *failure,
                          struct iface_handle *handle)
{
    backend_started done = s->done;
    void *arg = s->arg;
    s->done = NULL;
    stop_timer(&s->timer);
    if (!s->asked)
        starting_free(s);
    if (done)
        done(arg, failure, handle);
    else
        iface_handle_free(handle);
}

static int on_start_impatience(sd_event_source *source, uint64_t usec, void *arg)
{
    struct failure failure;
    (void)source;
    (void)usec;
    (void)failure_set(&failure, -ETIMEDOUT, "vmnet-netd did not answer within %u s",
                      (unsigned)(REQUEST_USEC / 1000000));
    starting_tell(arg, &failure, NULL);
    return 0;
}

static struct iface_handle *make_iface_handle(const struct record *record,
                                              const struct netd_answer *answer)
{
    struct iface_handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return NULL;
    handle->spec = answer->msg->body.interface;
    handle->mtu = record->handle.spec.mtu;
    handle->n_fds = (unsigned)answer->n_fds;
    for (size_t i = 0; i < answer->n_fds; i++) {
        handle->fds[i] = answer->fds[i];
        answer->fds[i] = -1;
    }
    return handle;
}

void iface_handle_free(struct iface_handle *handle)
{
    if (!handle)
        return;
    for (unsigned i = 0; i < handle->n_fds; i++)
        closer_close(handle->fds[i]);
    free(handle);
}

/* netd made the TAP. Whatever goes wrong from here on closes the descriptors, and netd
 * tells when the TAP is gone: only then is the address given back. */
static void tap_opened(struct starting *s, const struct netd_answer *answer)
{
    struct backend_netd *b = s->b;
    struct record *record = record_find(b, s->network);
    struct iface_handle *handle = NULL;
    struct failure failure;

    if (record && answer->n_fds == s->queues && entry_add(record, &answer->msg->body.interface))
        handle = make_iface_handle(record, answer);
    s->asked = false;
    if (!handle) {
        (void)failure_set(&failure, -ENETDOWN, "the interface was made, but %s",
                          !record                      ? "its network is gone"
                          : answer->n_fds != s->queues ? "vmnet-netd passed no descriptors for it"
                                                       : "memory is short");
        starting_tell(s, &failure, NULL);
        return;
    }
    log_debug("network '%s': interface %s is up", s->network, answer->msg->body.interface.tap);
    tell_interfaces(record);
    starting_tell(s, NULL, handle);
}

static void on_opened(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct starting *s = arg;
    if (!failure) {
        tap_opened(s, answer);
        return;
    }
    identity_give_back(s->b, s->network, s->id);
    struct failure f = creation_failure(failure);
    s->asked = false;
    starting_tell(s, &f, NULL);
}

static int find_identity(struct starting *s, struct record *record, struct identity **ret,
                         struct failure *failure)
{
    const struct identity_wish wish = { .uid = s->uid,
                                        .id = s->has_id ? s->id : NULL,
                                        .name = s->has_name ? s->name : NULL,
                                        .mac = s->has_mac ? &s->mac : NULL };
    return identity_start(&record->memory->identities, &wish, &random_system, ret, failure);
}

static void compose_interface(const struct starting *s, const struct identity *identity,
                              struct netd_interface *ret)
{
    *ret = (struct netd_interface){ .uid = s->uid,
                                    .ipv4 = identity->ipv4,
                                    .offload = s->offload,
                                    .isolated = s->isolated,
                                    .queues = s->queues };
    (void)str_copy(ret->network, sizeof ret->network, s->network);
    (void)str_copy(ret->id, sizeof ret->id, identity->id);
    (void)str_copy(ret->name, sizeof ret->name, identity->name);
    memcpy(ret->mac, identity->mac.b, sizeof ret->mac);
}

static void send_open_tap(struct starting *s)
{
    struct record *record = record_find(s->b, s->network);
    struct identity *identity;
    struct netd_interface spec;
    struct failure failure;
    int r;

    if (!record || !record->present || !record->memory)
        r = failure_set(&failure, -ENOENT, "the network does not exist any more");
    else
        r = find_identity(s, record, &identity, &failure);
    if (r == 0) {
        compose_interface(s, identity, &spec);
        (void)str_copy(s->id, sizeof s->id, identity->id);
        memory_file_changed(s->b->file);
        r = netd_line_ask(s->b->line, NETD_OPEN_TAP, &spec, on_opened, s);
        if (r < 0) {
            identity_give_back(s->b, s->network, s->id);
            (void)failure_set(&failure, -ENETDOWN, "cannot ask vmnet-netd for it: %s",
                              strerror(-r));
        }
    }
    if (r < 0)
        starting_tell(s, &failure, NULL);
    else
        s->asked = true;
}

static struct starting *first_unasked(struct backend_netd *b)
{
    struct starting *s;
    TAILQ_FOREACH (s, &b->startings, link)
        if (!s->asked)
            return s;
    return NULL;
}

static int copy_request(struct starting *s, const struct iface_request *request)
{
    s->has_id = request->interface_id;
    s->has_name = request->name;
    s->has_mac = request->mac;
    if (request->mac)
        s->mac = *request->mac;
    s->offload = request->offload;
    s->isolated = request->isolated;
    s->queues = request->queues;
    s->uid = request->uid;
    if (request->queues < 1 || request->queues > IFACE_QUEUES_MAX ||
        str_copy(s->network, sizeof s->network, request->network) < 0 ||
        str_copy(s->id, sizeof s->id, request->interface_id ? request->interface_id : "") < 0 ||
        str_copy(s->name, sizeof s->name, request->name ? request->name : "") < 0)
        return -EINVAL;
    return 0;
}

static int netd_start_interface(void *self, const struct iface_request *request,
                                backend_started done, void *arg)
{
    struct backend_netd *b = self;
    struct record *record = record_find(b, request->network);
    if (!record || !record->held)
        return -ENOENT;
    struct starting *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    int r = copy_request(s, request);
    if (r == 0)
        r = sd_event_add_time_relative(b->event, &s->timer, CLOCK_MONOTONIC, REQUEST_USEC, 0,
                                       on_start_impatience, s);
    if (r < 0) {
        free(s);
        return r;
    }
    s->b = b;
    s->done = done;
    s->arg = arg;
    TAILQ_INSERT_TAIL(&b->startings, s, link);
    schedule(b);
    return 0;
}

static void netd_drop_interface(void *self, struct iface_handle *handle)
{
    (void)self;
    iface_handle_free(handle);
}

static unsigned netd_interfaces_of(void *self, uid_t uid)
{
    const struct backend_netd *b = self;
    const struct record *record;
    const struct iface_entry *e;
    unsigned n = 0;
    TAILQ_FOREACH (record, &b->records, link)
        TAILQ_FOREACH (e, &record->handle.interfaces, link)
            n += e->spec.uid == uid;
    return n;
}

/* ---- inspecting --------------------------------------------------------------------------------
 */

static void inspection_free(struct inspection *i)
{
    TAILQ_REMOVE(&i->b->inspections, i, link);
    stop_timer(&i->timer);
    free(i);
}

static void inspection_tell(struct inspection *i, const struct failure *failure)
{
    backend_inspected done = i->done;
    void *arg = i->arg;
    i->done = NULL;
    stop_timer(&i->timer);
    if (!i->asked)
        inspection_free(i);
    if (done)
        done(arg, failure);
}

static int on_inspect_impatience(sd_event_source *source, uint64_t usec, void *arg)
{
    struct failure failure;
    (void)source;
    (void)usec;
    (void)failure_set(&failure, -ETIMEDOUT, "vmnet-netd does not answer");
    inspection_tell(arg, &failure);
    return 0;
}

static void keep_stats(struct backend_netd *b, const struct netd_stats *stats)
{
    struct record *record = record_find(b, stats->network);
    struct iface_entry *e;
    if (!record)
        return;
    TAILQ_FOREACH (e, &record->handle.interfaces, link)
        if (strcmp(e->spec.tap, stats->tap) == 0)
            e->stats = *stats;
}

static void on_stats(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct inspection *i = arg;
    if (answer && answer->more) {
        keep_stats(i->b, &answer->msg->body.stats);
        return;
    }
    i->asked = false;
    inspection_tell(i, failure);
}

/* Without a line there is nothing to ask, and nothing to wait for. */
static void send_stats(struct inspection *i)
{
    struct failure failure;
    int r = netd_line_ask(i->b->line, NETD_STATS, NULL, on_stats, i);
    if (r == 0) {
        i->asked = true;
    } else if (TAILQ_EMPTY(&i->b->records)) {
        inspection_tell(i, NULL);
    } else {
        (void)failure_set(&failure, -ENETDOWN, "vmnet-netd is not there: %s", strerror(-r));
        inspection_tell(i, &failure);
    }
}

static struct inspection *first_uninspected(struct backend_netd *b)
{
    struct inspection *i;
    TAILQ_FOREACH (i, &b->inspections, link)
        if (!i->asked)
            return i;
    return NULL;
}

static int netd_inspect(void *self, backend_inspected done, void *arg)
{
    struct backend_netd *b = self;
    struct inspection *i = calloc(1, sizeof *i);
    if (!i)
        return -ENOMEM;
    int r = sd_event_add_time_relative(b->event, &i->timer, CLOCK_MONOTONIC, STATS_USEC, 0,
                                       on_inspect_impatience, i);
    if (r < 0) {
        free(i);
        return r;
    }
    i->b = b;
    i->done = done;
    i->arg = arg;
    TAILQ_INSERT_TAIL(&b->inspections, i, link);
    schedule(b);
    return 0;
}

static void netd_describe(void *self, struct backend_view *ret)
{
    struct backend_netd *b = self;
    *ret = (struct backend_view){ .uplink_engine = netd_line_engine(b->line),
                                  .problem = netd_line_problem(b->line),
                                  .namespace_pid = (pid_t)netd_line_anchor(b->line) };
    if (!ret->problem && strncmp(b->uplink, "failed", strlen("failed")) == 0)
        ret->problem = b->uplink;
}

/* ---- what the line tells ----------------------------------------------------------------------
 */

static void run_startings(struct backend_netd *b)
{
    struct starting *s;
    while (netd_line_is_up(b->line) && (s = first_unasked(b)))
        send_open_tap(s);
}

static int on_soon(sd_event_source *source, void *arg)
{
    struct backend_netd *b = arg;
    struct inspection *i;
    const struct record *record;

    (void)source;
    settle_all(b);
    run_startings(b);
    while ((i = first_uninspected(b)))
        send_stats(i);
    TAILQ_FOREACH (record, &b->records, link)
        if (record->built.done || record->removed.done)
            break;
    if (record || first_unasked(b))
        netd_line_want(b->line);
    return 0;
}

static void check_everything(struct backend_netd *b)
{
    struct record *record;
    TAILQ_FOREACH (record, &b->records, link)
        record->check = true;
    schedule(b);
}

static void on_up(void *arg)
{
    check_everything(arg);
}

static bool on_wanted(void *arg)
{
    const struct backend_netd *b = arg;
    return !TAILQ_EMPTY(&b->records) || !TAILQ_EMPTY(&b->startings);
}

/* Those whose question was under way have heard. The rest was waiting to be asked. */
static void on_down(void *arg, const struct failure *failure)
{
    struct backend_netd *b = arg;
    struct failure f = creation_failure(failure);
    struct record *record = TAILQ_FIRST(&b->records);
    struct starting *s;

    while (record) {
        if (record->built.done)
            tell_build_failed(record, &f);
        else if (record->removed.done)
            tell_removed(record, &f);
        else {
            record = TAILQ_NEXT(record, link);
            continue;
        }
        record = TAILQ_FIRST(&b->records);
    }
    while ((s = first_unasked(b)))
        starting_tell(s, &f, NULL);
}

static void take_uplink(struct backend_netd *b)
{
    const char *state = netd_line_uplink(b->line);
    bool none = state[0] == '\0' || strcmp(state, "none") == 0; /* until one is needed */
    (void)str_copy(b->uplink, sizeof b->uplink, none ? "checking" : state);
}

static void tap_gone(struct backend_netd *b, const struct netd_interface *gone)
{
    struct record *record = record_find(b, gone->network);
    struct iface_entry *e = record ? entry_by_id(record, gone->id) : NULL;
    if (!e || strcmp(e->spec.tap, gone->tap) != 0) {
        /* Opened for somebody who had gone before we knew of it. */
        if (!e)
            identity_give_back(b, gone->network, gone->id);
        return;
    }
    entry_remove(record, e);
    record->check = true;
    schedule(b);
    tell_interfaces(record);
}

static void network_lost(struct backend_netd *b, const struct netd_lost *lost)
{
    struct record *record = record_find(b, lost->network);
    struct failure failure;
    (void)failure_set(&failure, -ENETDOWN, "%s", lost->why);
    if (record)
        record_lost(record, &failure);
}

static void on_event(void *arg, const struct netd_msg *msg)
{
    struct backend_netd *b = arg;
    switch (msg->header.op) {
    case NETD_TAP_GONE:
        tap_gone(b, &msg->body.interface);
        break;
    case NETD_NETWORK_LOST:
        network_lost(b, &msg->body.lost);
        break;
    case NETD_UPLINK:
        if (strcmp(b->uplink, msg->body.uplink.state) != 0)
            log_info("uplink (%s): %s", msg->body.uplink.engine, msg->body.uplink.state);
        take_uplink(b);
        break;
    default:
        break;
    }
}

/* ---- the inventory ------------------------------------------------------------------------------
 */

/* The definition that a network was made by, as far as it can still be known. */
static struct net_def def_of(const struct netd_network *spec)
{
    struct net_def def = { .uplink = UPLINK_AUTO };
    (void)net_def_find(spec->name, &def);
    (void)str_copy(def.name, sizeof def.name, spec->name);
    def.mode = (enum net_mode)spec->mode;
    def.anti_spoofing = (enum anti_spoofing)spec->anti_spoofing;
    def.mtu = spec->mtu;
    def.nat44 = spec->flags & NETD_NET_NAT44;
    def.nat66 = spec->flags & NETD_NET_NAT66;
    def.dhcp = spec->flags & NETD_NET_DHCP;
    def.dns_proxy = spec->flags & NETD_NET_DNS;
    def.router_advertisement = spec->flags & NETD_NET_RA;
    def.isolation = spec->flags & NETD_NET_ISOLATED;
    def.idle_timeout_sec = spec->idle_timeout_sec;
    return def;
}

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
    struct net_def def = def_of(spec);
    if (!record)
        record = record_new(b, &def);
    if (!record) {
        (void)log_failure(-ENOMEM, "network '%s': cannot adopt it", spec->name);
        return;
    }
    record->def = def;
    set_spec(record, spec);
    record->present = record->seen = true;
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
    } else if (record->present && b->adopting) {
        record->held = true;
        b->events.found(b->events.arg, &record->def, &record->handle, record->live);
    } else {
        tell_interfaces(record);
    }
    return true;
}

/* First everything is taken over, then the core is told, since it may call back. */
static void on_inventory(void *arg, const struct netd_inventory *inventory)
{
    struct backend_netd *b = arg;
    struct record *record;

    take_uplink(b);
    TAILQ_FOREACH (record, &b->records, link)
        record->seen = false;
    for (size_t i = 0; i < inventory->n_networks; i++)
        take_network(b, &inventory->networks[i]);
    TAILQ_FOREACH (record, &b->records, link)
        drop_unlisted_interfaces(record, inventory);
    for (size_t i = 0; i < inventory->n_interfaces; i++)
        take_interface(b, &inventory->interfaces[i]);
    TAILQ_FOREACH (record, &b->records, link)
        record->check = true;
    while (tell_one(b))
        ;
    check_everything(b); /* once it is up: on_up() follows */
}

/* ---- life
 * ------------------------------------------------------------------------------------------ */

/* What is under way is abandoned. A netd that has nothing any more is asked to leave, so
 * that nothing of us is left when we are. */
static void netd_free(void *self)
{
    struct backend_netd *b = self;
    struct starting *s;
    struct inspection *i;
    struct record *record;

    if (!b)
        return;
    if (b->line && TAILQ_EMPTY(&b->records))
        netd_line_leave(b->line, LEAVE_USEC);
    netd_line_free(b->line);
    while ((s = TAILQ_FIRST(&b->startings)))
        starting_free(s);
    while ((i = TAILQ_FIRST(&b->inspections)))
        inspection_free(i);
    memory_file_close(b->file);
    b->file = NULL;
    while ((record = TAILQ_FIRST(&b->records)))
        record_free(record);
    memory_clear(&b->memory);
    (void)sd_event_source_disable_unref(b->soon);
    free(b->start.program);
    free(b);
    closer_stop();
}

static const struct backend_ops netd_ops = {
    .name = "vmnet-netd",
    .build = netd_build,
    .remove = netd_remove,
    .start_interface = netd_start_interface,
    .drop_interface = netd_drop_interface,
    .interfaces_of = netd_interfaces_of,
    .inspect = netd_inspect,
    .describe = netd_describe,
    .drop = netd_drop,
    .free = netd_free,
};

static int open_parts(struct backend_netd *b, const struct backend_netd_config *config)
{
    const struct netd_line_events line_events = { on_inventory, on_up,     on_event,
                                                  on_down,      on_wanted, b };
    b->start.paths = *config->paths;
    b->start.system = config->system;
    if (config->netd_program) {
        b->start.program = strdup(config->netd_program);
        if (!b->start.program)
            return -ENOMEM;
    }
    int r = sd_event_add_defer(b->event, &b->soon, on_soon, b);
    if (r >= 0)
        r = sd_event_source_set_enabled(b->soon, SD_EVENT_OFF);
    if (r >= 0)
        r = memory_file_open(b->event, config->state_dirfd, &b->memory, &b->file);
    if (r >= 0)
        r = netd_line_new(b->event, &b->start, b->idle_timeout_sec, &line_events, &b->line);
    return r < 0 ? r : 0;
}

int backend_netd_new(const struct backend_netd_config *config, sd_event *event,
                     const struct backend_events *events, struct backend *ret)
{
    struct backend_netd *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->event = event;
    b->events = *events;
    b->idle_timeout_sec = config->idle_timeout_sec;
    memory_init(&b->memory);
    TAILQ_INIT(&b->records);
    TAILQ_INIT(&b->startings);
    TAILQ_INIT(&b->inspections);
    int r = open_parts(b, config);
    if (r < 0) {
        netd_free(b);
        return r;
    }
    b->adopting = true;
    netd_line_greet_running(b->line, RUNNING_NETD_USEC);
    b->adopting = false;
    *ret = (struct backend){ &netd_ops, b };
    return 0;
}
