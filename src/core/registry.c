/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c - carries out what lifecycle.h says.
 *
 * Everything that happens to a network goes through step(): it looks up the table,
 * enters the next state and then acts. Acting comes last because an action may lead back
 * here - an answered connection sends its next request at once, a build can fail
 * before it has begun - and must then find everything in order. For the same reason
 * nothing touches a network after step() unless the event cannot end it.
 */
#include "registry.h"

#include "log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A removal that failed is tried again after the idle time, but not in a busy loop
 * where that is 0. */
#define RETRY_MIN_SEC 10u

struct registry {
    const struct loop *loop;
    const struct backend *backend;
    struct registry_events events;
    uint32_t idle_timeout_sec;
    struct network_list networks;
};

static void step(struct network *net, enum net_event ev, const struct failure *failure);
static void on_timer(void *arg);

/* --- networks and holds as objects --- */

struct registry *registry_new(const struct loop *loop, uint32_t idle_timeout_sec,
                              const struct registry_events *events)
{
    struct registry *reg = calloc(1, sizeof *reg);
    if (!reg)
        return NULL;
    reg->loop = loop;
    reg->idle_timeout_sec = idle_timeout_sec;
    reg->events = *events;
    TAILQ_INIT(&reg->networks);
    return reg;
}

void registry_set_backend(struct registry *reg, const struct backend *backend)
{
    reg->backend = backend;
}

static void changed(struct registry *reg)
{
    reg->events.changed(reg->events.arg);
}

static void insert_sorted(struct network_list *list, struct network *net)
{
    struct network *other;
    TAILQ_FOREACH (other, list, link) {
        if (strcmp(other->name, net->name) > 0) {
            TAILQ_INSERT_BEFORE(other, net, link);
            return;
        }
    }
    TAILQ_INSERT_TAIL(list, net, link);
}

static struct network *network_new(struct registry *reg, struct definition *def)
{
    struct network *net = calloc(1, sizeof *net);
    if (!net)
        return NULL;
    net->registry = reg;
    memcpy(net->name, def->net.name, sizeof net->name);
    net->state = NET_GONE;
    TAILQ_INIT(&net->holders);
    TAILQ_INIT(&net->waiters);
    net->timer = reg->loop->ops->timer_new(reg->loop->self, on_timer, net);
    if (!net->timer) {
        free(net);
        return NULL;
    }
    net->def = definition_ref(def);
    net->wanted = definition_ref(def);
    insert_sorted(&reg->networks, net);
    return net;
}

static void drop_handle(struct network *net)
{
    const struct backend *backend = net->registry->backend;
    if (net->handle)
        backend->ops->drop(backend->self, net->handle);
    net->handle = NULL;
    net->found = false;
}

/* Of a network that has no users and is in no list. */
static void network_free(struct network *net)
{
    drop_handle(net);
    net->registry->loop->ops->timer_free(net->timer);
    definition_unref(net->def);
    definition_unref(net->wanted);
    definition_unref(net->applied);
    free(net);
}

static struct hold *hold_new(struct network *net, struct peer *peer)
{
    struct hold *hold = calloc(1, sizeof *hold);
    if (!hold)
        return NULL;
    hold->peer = peer;
    hold->network = net;
    hold->waiting = true;
    TAILQ_INSERT_TAIL(&net->waiters, hold, of_network);
    TAILQ_INSERT_TAIL(&peer->holds, hold, of_peer);
    net->clients++;
    return hold;
}

static void hold_free(struct hold *hold)
{
    struct network *net = hold->network;
    TAILQ_REMOVE(hold->waiting ? &net->waiters : &net->holders, hold, of_network);
    TAILQ_REMOVE(&hold->peer->holds, hold, of_peer);
    net->clients--;
    free(hold);
}

static void free_all_holds(struct network *net)
{
    struct hold *hold;
    while ((hold = TAILQ_FIRST(&net->waiters)) || (hold = TAILQ_FIRST(&net->holders)))
        hold_free(hold);
}

void registry_free(struct registry *reg)
{
    struct network *net;
    if (!reg)
        return;
    while ((net = TAILQ_FIRST(&reg->networks))) {
        TAILQ_REMOVE(&reg->networks, net, link);
        free_all_holds(net);
        network_free(net);
    }
    free(reg);
}

const struct network_list *registry_networks(const struct registry *reg)
{
    return &reg->networks;
}

struct network *registry_find(const struct registry *reg, const char *name)
{
    struct network *net;
    TAILQ_FOREACH (net, &reg->networks, link)
        if (strcmp(net->name, name) == 0)
            return net;
    return NULL;
}

bool registry_is_ready(const struct registry *reg, const char *name)
{
    const struct network *net = registry_find(reg, name);
    return net && (net->state == NET_READY || net->state == NET_IDLE);
}

bool network_has_users(const struct network *net)
{
    return net->clients > 0 || net->interfaces > 0;
}

bool network_in_use(const struct network *net)
{
    return net->kept || network_has_users(net);
}

const struct backend *network_backend(const struct network *net)
{
    return net->registry->backend;
}

/* --- the actions of the table --- */

static void built(void *arg, const struct failure *failure, struct net_handle *handle)
{
    struct network *net = arg;
    struct registry *reg = net->registry;

    if (failure) {
        log_user(LOG_EVERYBODY, LOG_LEVEL_ERROR, "network '%s': cannot create it: %s", net->name,
                 failure->why);
        step(net, EV_CREATE_FAILED, failure);
    } else {
        net->handle = handle;
        log_user(LOG_EVERYBODY, LOG_LEVEL_INFO, "network '%s': created", net->name);
        reg->events.created(reg->events.arg, net);
        step(net, network_in_use(net) ? EV_CREATED : EV_CREATED_UNWANTED, NULL);
    }
    changed(reg);
}

/* From now on it is what its definition says now. */
static void take_wanted(struct network *net)
{
    definition_unref(net->def);
    net->def = definition_ref(net->wanted);
    net->applied = definition_unref(net->applied);
}

static void act_create(struct network *net)
{
    const struct backend *backend = net->registry->backend;
    struct failure failure;

    take_wanted(net);
    int r = backend->ops->build(backend->self, net->def, built, net);
    if (r < 0) {
        (void)failure_set(&failure, r, "%s", strerror(-r));
        log_user(LOG_EVERYBODY, LOG_LEVEL_ERROR, "network '%s': cannot create it: %s", net->name,
                 failure.why);
        step(net, EV_CREATE_FAILED, &failure);
    }
}

/* What is gone already counts as removed. */
static void settle_removal(struct network *net, const struct failure *failure)
{
    if (failure && failure->err != -ENOENT && !net->lost) {
        log_error("network '%s': cannot remove it: %s", net->name, failure->why);
        step(net, EV_REMOVE_FAILED, failure);
        return;
    }
    log_user(LOG_EVERYBODY, LOG_LEVEL_INFO, "network '%s': removed", net->name);
    drop_handle(net);
    net->interfaces = 0;
    net->lost = false;
    net->registry->events.gone(net->registry->events.arg, net->name, NULL);
    step(net, TAILQ_EMPTY(&net->waiters) && !net->kept ? EV_REMOVED : EV_REMOVED_WANTED, NULL);
}

static void removed(void *arg, const struct failure *failure)
{
    struct network *net = arg;
    struct registry *reg = net->registry;
    settle_removal(net, failure);
    changed(reg);
}

static void stop_timer(struct network *net)
{
    net->registry->loop->ops->timer_stop(net->timer);
}

static void act_remove(struct network *net)
{
    const struct backend *backend = net->registry->backend;
    struct failure failure;

    stop_timer(net);
    int r = backend->ops->remove(backend->self, net->name, removed, net);
    if (r < 0) {
        (void)failure_set(&failure, r, "%s", strerror(-r));
        settle_removal(net, &failure);
    }
}

/* An answer may change anything, so each time we look afresh who still waits, and for what. */
static void act_answer(struct network *net)
{
    const struct registry_events *events = &net->registry->events;
    struct hold *hold;

    while (net->state == NET_READY && (hold = TAILQ_FIRST(&net->waiters))) {
        TAILQ_REMOVE(&net->waiters, hold, of_network);
        TAILQ_INSERT_TAIL(&net->holders, hold, of_network);
        hold->waiting = false;
        events->acquired(events->arg, hold->peer, net, false);
    }
}

static void refuse_waiters(struct network *net, const struct failure *failure)
{
    const struct registry_events *events = &net->registry->events;
    enum net_state state = net->state;
    struct hold *hold;

    while (net->state == state && (hold = TAILQ_FIRST(&net->waiters))) {
        struct peer *peer = hold->peer;
        hold_free(hold);
        events->refused(events->arg, peer, net->name, failure);
    }
}

/* First out of the list, so that whoever asks again from inside its answer gets a new
 * network of that name, not the remains of this one. */
static void act_refuse(struct network *net, const struct failure *failure)
{
    assert(failure);
    TAILQ_REMOVE(&net->registry->networks, net, link);
    refuse_waiters(net, failure);
    network_free(net);
}

static uint32_t idle_timeout(const struct network *net)
{
    uint32_t own = net->wanted->net.idle_timeout_sec;
    return own == UINT32_MAX ? net->registry->idle_timeout_sec : own;
}

static void start_timer(struct network *net, uint32_t sec)
{
    net->registry->loop->ops->timer_start(net->timer, sec * USEC_PER_SEC);
}

static void act_start_timer(struct network *net)
{
    uint32_t sec = idle_timeout(net);
    log_user(LOG_EVERYBODY, LOG_LEVEL_INFO, "network '%s': nobody uses it, to be removed in %u s",
             net->name, (unsigned)sec);
    start_timer(net, sec);
}

static void act_retry_later(struct network *net, const struct failure *failure)
{
    assert(failure);
    uint32_t sec = idle_timeout(net) > RETRY_MIN_SEC ? idle_timeout(net) : RETRY_MIN_SEC;
    log_info("network '%s': removing it will be tried again in %u s", net->name, (unsigned)sec);
    start_timer(net, sec);

    struct failure why;
    (void)failure_set(&why, failure->err, "its predecessor cannot be removed: %s", failure->why);
    refuse_waiters(net, &why);
}

static void act_forget(struct network *net)
{
    TAILQ_REMOVE(&net->registry->networks, net, link);
    free_all_holds(net);
    network_free(net);
}

/* failure: why, with the events that are one; it may end the network (see above). */
static void step(struct network *net, enum net_event ev, const struct failure *failure)
{
    struct net_step next = lifecycle_step(net->state, ev);

    if (next.act == ACT_BUG) { /* the backend's or ours; others' networks must go on */
        log_error("network '%s': bug: event %d cannot happen while it is %s", net->name, (int)ev,
                  net_state_name(net->state));
        return;
    }
    net->state = next.next;

    switch (next.act) {
    case ACT_BUG:
    case ACT_NOTHING:
    case ACT_WAIT:
        break;
    case ACT_CREATE:
        act_create(net);
        break;
    case ACT_ANSWER:
        act_answer(net);
        break;
    case ACT_REFUSE:
        act_refuse(net, failure);
        break;
    case ACT_START_TIMER:
        act_start_timer(net);
        break;
    case ACT_RESUME:
        stop_timer(net);
        act_answer(net);
        break;
    case ACT_REMOVE:
        act_remove(net);
        break;
    case ACT_RETRY_LATER:
        act_retry_later(net, failure);
        break;
    case ACT_FORGET:
        act_forget(net);
        break;
    }
}

static void on_timer(void *arg)
{
    struct network *net = arg;
    struct registry *reg = net->registry;
    step(net, EV_TIMEOUT, NULL);
    changed(reg);
}

/* --- what connections do --- */

int registry_acquire(struct registry *reg, struct peer *peer, struct definition *def)
{
    struct hold *hold = peer_find_hold(peer, def->net.name);
    if (hold) {
        reg->events.acquired(reg->events.arg, peer, hold->network, true);
        return 0;
    }

    struct network *net = registry_find(reg, def->net.name);
    if (!net)
        net = network_new(reg, def);
    if (!net)
        return -ENOMEM;

    if (!hold_new(net, peer)) {
        if (net->state == NET_GONE)
            act_forget(net);
        return -ENOMEM;
    }
    step(net, EV_ACQUIRE, NULL);
    changed(reg);
    return 0;
}

int registry_keep(struct registry *reg, struct definition *def)
{
    struct network *net = registry_find(reg, def->net.name);
    if (!net)
        net = network_new(reg, def);
    if (!net)
        return -ENOMEM;
    if (net->kept)
        return 0;
    net->kept = true;
    log_info("network '%s': persistent", net->name);
    if (net->state == NET_GONE)
        step(net, EV_ACQUIRE, NULL);
    else if (!network_has_users(net))
        step(net, EV_IN_USE, NULL);
    changed(reg);
    return 0;
}

void registry_unkeep(struct network *net)
{
    struct registry *reg = net->registry;
    if (!net->kept)
        return;
    net->kept = false;
    if (!network_in_use(net))
        step(net, EV_LAST_LEFT, NULL);
    changed(reg);
}

void registry_renew(struct network *net)
{
    if (network_has_users(net))
        return;
    if (net->state == NET_READY) /* kept */
        step(net, EV_LAST_LEFT, NULL);
    if (net->state == NET_IDLE)
        step(net, EV_TIMEOUT, NULL);
}

void registry_redefined(const struct network *net, definition_keys applied, definition_keys pending)
{
    const struct registry_events *events = &net->registry->events;
    events->redefined(events->arg, net, applied, pending);
}

void registry_idle_time_changed(struct network *net)
{
    if (net->state == NET_IDLE)
        act_start_timer(net);
}

static void leave(struct hold *hold)
{
    struct network *net = hold->network;
    hold_free(hold);
    if (!network_in_use(net))
        step(net, EV_LAST_LEFT, NULL);
}

int registry_release(struct registry *reg, struct peer *peer, const char *name)
{
    struct hold *hold = peer_find_hold(peer, name);
    if (!hold)
        return -ENOENT;
    leave(hold);
    changed(reg);
    return 0;
}

void registry_peer_gone(struct registry *reg, struct peer *peer)
{
    struct hold *hold;
    while ((hold = TAILQ_FIRST(&peer->holds)))
        leave(hold);
    changed(reg);
}

static bool list_has_uid(const struct hold_list *list, uid_t uid)
{
    const struct hold *hold;
    TAILQ_FOREACH (hold, list, of_network)
        if (hold->peer->cred.uid == uid)
            return true;
    return false;
}

unsigned registry_count_networks(const struct registry *reg, uid_t uid, const char *except)
{
    const struct network *net;
    unsigned n = 0;
    TAILQ_FOREACH (net, &reg->networks, link)
        if (strcmp(net->name, except) != 0 &&
            (list_has_uid(&net->holders, uid) || list_has_uid(&net->waiters, uid)))
            n++;
    return n;
}

void registry_remove_unused(struct registry *reg, bool again)
{
    struct network *net, *next;
    for (net = TAILQ_FIRST(&reg->networks); net; net = next) {
        next = TAILQ_NEXT(net, link);
        if (net->state == NET_IDLE || (again && net->state == NET_STUCK))
            step(net, EV_TIMEOUT, NULL);
    }
}

/* --- what the backend tells unasked --- */

void registry_found(struct registry *reg, struct definition *def, struct net_handle *handle,
                    unsigned live)
{
    struct network *net = registry_find(reg, def->net.name) ? NULL : network_new(reg, def);
    if (!net) {
        log_error("network '%s': found, but cannot adopt it: it is there twice, or memory is short",
                  def->net.name);
        if (reg->backend) /* else the backend is just being made: it is never told again */
            reg->backend->ops->drop(reg->backend->self, handle);
        return;
    }
    net->handle = handle;
    net->found = true;
    net->interfaces = live;
    log_info("network '%s': found, with %u live interfaces", def->net.name, live);
    step(net, live > 0 ? EV_FOUND : EV_FOUND_UNUSED, NULL);
    changed(reg);
}

void registry_interfaces(struct registry *reg, const char *name, unsigned live)
{
    struct network *net = registry_find(reg, name);
    if (!net)
        return; /* the last TAPs of a network that was removed or lost */

    bool used = network_in_use(net);
    net->interfaces = live;
    if (used && !network_in_use(net))
        step(net, EV_LAST_LEFT, NULL);
    else if (!used && network_in_use(net))
        step(net, EV_IN_USE, NULL);
    changed(reg);
}

void registry_lost(struct registry *reg, const char *name, const struct failure *failure)
{
    struct network *net = registry_find(reg, name);
    if (!net)
        return;
    log_error("network '%s': lost, with %u clients: %s", name, net->clients,
              failure ? failure->why : "the backend does not say why");
    drop_handle(net);
    net->interfaces = 0;
    net->lost = net->state == NET_REMOVING;
    if (!net->lost)
        reg->events.gone(reg->events.arg, name, failure);
    step(net, EV_LOST, NULL);
    changed(reg);
}
