/* SPDX-License-Identifier: Apache-2.0 */
/* registry_life.c - carries out what lifecycle.h says.
 *
 * Everything that happens to a network goes through network_step(): it looks up the table,
 * enters the next state and then acts. Acting comes last because an action may lead back
 * to the registry - an answered connection sends its next request at once, a build can fail
 * before it has begun - and must then find everything in order. For the same reason
 * nothing touches a network after network_step() unless the event cannot end it.
 */
#include "registry_part.h"

#include "log.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* A removal that failed is tried again after the idle time, but not in a busy loop
 * where that is 0. */
#define RETRY_MIN_SEC 10u

/* --- the actions of the table --- */

static void built(void *arg, const struct failure *failure, struct net_handle *handle)
{
    struct network *net = arg;
    struct registry *reg = net->registry;

    if (failure) {
        log_user(LOG_EVERYBODY, LOG_LEVEL_ERROR, "network '%s': cannot create it: %s", net->name,
                 failure->why);
        network_step(net, EV_CREATE_FAILED, failure);
    } else {
        net->handle = handle;
        log_user(LOG_EVERYBODY, LOG_LEVEL_INFO, "network '%s': created", net->name);
        reg->events.created(reg->events.arg, net);
        network_step(net, network_in_use(net) ? EV_CREATED : EV_CREATED_UNWANTED, NULL);
    }
    registry_changed(reg);
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
        network_step(net, EV_CREATE_FAILED, &failure);
    }
}

/* What is gone already counts as removed. */
static void settle_removal(struct network *net, const struct failure *failure)
{
    if (failure && failure->err != -ENOENT && !net->lost) {
        log_error("network '%s': cannot remove it: %s", net->name, failure->why);
        network_step(net, EV_REMOVE_FAILED, failure);
        return;
    }
    log_user(LOG_EVERYBODY, LOG_LEVEL_INFO, "network '%s': removed", net->name);
    network_drop_handle(net);
    net->interfaces = 0;
    net->lost = false;
    net->registry->events.gone(net->registry->events.arg, net->name, NULL);
    network_step(net, TAILQ_EMPTY(&net->waiters) && !net->kept ? EV_REMOVED : EV_REMOVED_WANTED,
                 NULL);
}

static void removed(void *arg, const struct failure *failure)
{
    struct network *net = arg;
    struct registry *reg = net->registry;
    settle_removal(net, failure);
    registry_changed(reg);
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

void network_start_idle_timer(struct network *net)
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

void network_forget(struct network *net)
{
    TAILQ_REMOVE(&net->registry->networks, net, link);
    network_free_holds(net);
    network_free(net);
}

void network_step(struct network *net, enum net_event ev, const struct failure *failure)
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
        network_start_idle_timer(net);
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
        network_forget(net);
        break;
    }
}

void network_on_timer(void *arg)
{
    struct network *net = arg;
    struct registry *reg = net->registry;
    network_step(net, EV_TIMEOUT, NULL);
    registry_changed(reg);
}
