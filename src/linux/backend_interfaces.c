/* SPDX-License-Identifier: Apache-2.0 */
/* backend_interfaces.c - StartInterface, from the client's wish to its descriptors.
 *
 * The identity is live from the moment in which netd is asked until netd says that the
 * TAP is gone, or refuses: a client that lost its patience, or its life, changes nothing
 * about that, because the TAP may exist all the same.
 */
#include "backend_record.h"

#include "closer.h"
#include "log.h"
#include "str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One StartInterface under way. */
struct starting {
    TAILQ_ENTRY(starting) link;
    struct backend_netd *b;
    char network[NAME_SIZE], id[IFACE_ID_SIZE], name[NAME_SIZE];
    struct mac mac;
    bool has_id, has_name, has_mac, offload, isolated, by_name;
    bool asked; /* netd has been asked: only its answer ends this */
    unsigned queues;
    uid_t uid;
    backend_started done; /* NULL: has been told already */
    void *arg;
    sd_event_source *timer;
};

static void starting_free(struct starting *s)
{
    TAILQ_REMOVE(&s->b->startings, s, link);
    timer_end(&s->timer);
    free(s);
}

/* Tells, once. Somebody who is still to hear from netd stays. */
static void starting_tell(struct starting *s, const struct failure *failure,
                          struct iface_handle *handle)
{
    backend_started done = s->done;
    void *arg = s->arg;
    s->done = NULL;
    timer_end(&s->timer);
    if (!s->asked)
        starting_free(s);
    if (done)
        done(arg, failure, handle);
    else
        iface_handle_free(handle);
}

static int on_start_impatience(sd_event_source *source, uint64_t usec, void *arg)
{
    struct starting *s = arg;
    struct failure failure;
    (void)source;
    (void)usec;
    (void)failure_set(&failure, -ETIMEDOUT, "vmnet-netd did not answer within %u s",
                      (unsigned)(s->b->request_usec / 1000000));
    starting_tell(s, &failure, NULL);
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
    unsigned n_fds = netd_interface_fds(&answer->msg->body.interface);
    struct iface_handle *handle = NULL;
    struct failure failure;

    if (record && answer->n_fds == n_fds && entry_add(record, &answer->msg->body.interface))
        handle = make_iface_handle(record, answer);
    s->asked = false;
    if (!handle) {
        (void)failure_set(&failure, -ENETDOWN, "the interface was made, but %s",
                          !record                  ? "its network is gone"
                          : answer->n_fds != n_fds ? "vmnet-netd passed no descriptors for it"
                                                   : "memory is short");
        starting_tell(s, &failure, NULL);
        return;
    }
    log_debug("network '%s': interface %s is up", s->network, answer->msg->body.interface.tap);
    tell_interface(record, EVENT_INTERFACE_STARTED, &answer->msg->body.interface);
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
                                    .by_name = s->by_name,
                                    .queues = s->queues };
    (void)str_copy(ret->network, sizeof ret->network, s->network);
    (void)str_copy(ret->id, sizeof ret->id, identity->id);
    (void)str_copy(ret->name, sizeof ret->name, identity->name);
    memcpy(ret->mac, identity->mac.b, sizeof ret->mac);
}

static void send_open_tap(struct starting *s)
{
    struct record *record = record_find(s->b, s->network);
    struct identity *identity = NULL;
    struct netd_interface spec;
    struct failure failure;

    if (!record || !record->present || !record->memory) {
        (void)failure_set(&failure, -ENOENT, "the network does not exist any more");
        starting_tell(s, &failure, NULL);
        return;
    }
    if (find_identity(s, record, &identity, &failure) < 0) {
        starting_tell(s, &failure, NULL);
        return;
    }
    compose_interface(s, identity, &spec);
    (void)str_copy(s->id, sizeof s->id, identity->id);
    if (!identity->ephemeral) /* else it is written nowhere */
        memory_file_changed(s->b->file);
    int r = netd_line_ask(s->b->line, NETD_OPEN_TAP, &spec, on_opened, s);
    s->asked = r == 0;
    if (r < 0) {
        identity_give_back(s->b, s->network, s->id);
        (void)failure_set(&failure, -ENETDOWN, "cannot ask vmnet-netd for it: %s", strerror(-r));
        starting_tell(s, &failure, NULL);
    }
}

static struct starting *first_unasked(const struct backend_netd *b)
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
    s->by_name = request->by_name;
    s->queues = request->queues;
    s->uid = request->uid;
    if (request->queues < 1 || request->queues > IFACE_QUEUES_MAX ||
        str_copy(s->network, sizeof s->network, request->network) < 0 ||
        str_copy(s->id, sizeof s->id, request->interface_id ? request->interface_id : "") < 0 ||
        str_copy(s->name, sizeof s->name, request->name ? request->name : "") < 0)
        return -EINVAL;
    return 0;
}

int interfaces_start(void *self, const struct iface_request *request, backend_started done,
                     void *arg)
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
        r = sd_event_add_time_relative(b->event, &s->timer, CLOCK_MONOTONIC, b->request_usec, 0,
                                       on_start_impatience, s);
    if (r < 0) {
        free(s);
        return r;
    }
    s->b = b;
    s->done = done;
    s->arg = arg;
    TAILQ_INSERT_TAIL(&b->startings, s, link);
    backend_schedule(b);
    return 0;
}

void interfaces_drop(void *self, struct iface_handle *handle)
{
    (void)self;
    iface_handle_free(handle);
}

unsigned interfaces_of(void *self, uid_t uid, unsigned *queues)
{
    const struct backend_netd *b = self;
    const struct record *record;
    const struct iface_entry *e;
    unsigned n = 0;
    *queues = 0;
    TAILQ_FOREACH (record, &b->records, link)
        TAILQ_FOREACH (e, &record->handle.interfaces, link) {
            n += e->spec.uid == uid;
            *queues += e->spec.uid == uid ? e->spec.queues : 0;
        }
    return n;
}

void interfaces_send(struct backend_netd *b)
{
    struct starting *s;
    while (netd_line_is_up(b->line) && (s = first_unasked(b)))
        send_open_tap(s);
}

bool interfaces_waiting(const struct backend_netd *b)
{
    return first_unasked(b) != NULL;
}

void interfaces_fail_unsent(struct backend_netd *b, const struct failure *failure)
{
    struct starting *s;
    while ((s = first_unasked(b)))
        starting_tell(s, failure, NULL);
}

void interfaces_free(struct backend_netd *b)
{
    struct starting *s;
    while ((s = TAILQ_FIRST(&b->startings)))
        starting_free(s);
}

void interfaces_tap_gone(struct backend_netd *b, const struct netd_interface *gone)
{
    struct record *record = record_find(b, gone->network);
    struct iface_entry *e = record ? entry_by_id(record, gone->id) : NULL;
    if (!e || strcmp(e->spec.tap, gone->tap) != 0) {
        /* Opened for somebody who had gone before we knew of it. */
        if (!e)
            identity_give_back(b, gone->network, gone->id);
        return;
    }
    const struct netd_interface spec = e->spec;
    forwards_gone(record, spec.id);
    entry_remove(record, e);
    record->check = true;
    backend_schedule(b);
    tell_interface(record, EVENT_INTERFACE_STOPPED, &spec);
    tell_interfaces(record);
}
