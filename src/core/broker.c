/* SPDX-License-Identifier: Apache-2.0 */
/* broker.c - the verbs of the protocol, in the order in which a connection uses them.
 *
 * Each verb reads the same way: form, then policy, then the work, then the answer.
 * The answer comes last because it may lead back here: the transport takes up the
 * peer's next request, or finds the connection closed and reports the peer gone. A
 * request that has to wait is parked in its peer; the answer to it comes from
 * the registry's events, or from the end of an errand.
 *
 * Every line of the log about a connection begins with the peer's tag. StartInterface is in
 * interfaces.c, what is about forwards in forwards.c.
 */
#include "broker.h"

#include "broker_state.h"
#include "lease.h"
#include "log.h"
#include "monitor.h"
#include "redefine.h"
#include "view.h"
#include "words.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define INSPECTIONS_MAX 4u /* of one user at a time */

/* --- connections --- */

struct peer *broker_peer_new(struct broker *broker, const struct peer_cred *cred,
                             struct failure *failure)
{
    const struct user *user = user_find(&broker->users, cred->uid);
    if (policy_may_connect(&broker->policy, cred->uid, user ? user->connections : 0,
                           broker->n_peers, failure) < 0)
        return NULL;

    struct peer *peer = peer_new(broker, cred, ++broker->peers_so_far);
    if (!peer) {
        (void)failure_set(failure, -ENOMEM, "the broker is short of memory: try again");
        return NULL;
    }
    TAILQ_INSERT_TAIL(&broker->peers, peer, link);
    broker->n_peers++;
    leaving_not_alone(broker);
    log_debug("%s connected", peer->tag);
    return peer;
}

static void tell_leaving(const struct peer *peer)
{
    const struct hold *hold;
    if (TAILQ_EMPTY(&peer->holds))
        log_debug("%s disconnected", peer->tag);
    TAILQ_FOREACH (hold, &peer->holds, of_peer) {
        unsigned left = hold->network->clients - 1;
        log_user(peer->cred.uid, LOG_LEVEL_INFO, "%s disconnected, %s '%s' (%u client%s left)",
                 peer->tag, hold->waiting ? "no longer awaits" : "released", hold->network->name,
                 left, plural(left));
        if (!hold->waiting)
            monitor_tell_left(peer, hold->network, left);
    }
}

void broker_peer_gone(struct peer *peer)
{
    struct broker *broker = peer->broker;

    TAILQ_REMOVE(&broker->peers, peer, link); /* first: it is told nothing any more */
    if (peer->watches) {
        TAILQ_REMOVE(&broker->watchers, peer, in_watchers);
        peer->user->watching--;
    }
    tell_leaving(peer);
    if (--broker->n_peers == 0)
        leaving_alone(broker);
    registry_peer_gone(broker->registry, peer);
    peer_free(peer);
}

const struct peer_cred *broker_peer_cred(const struct peer *peer)
{
    return &peer->cred;
}

bool broker_may_wait(struct peer *peer, struct call *call)
{
    struct failure failure;

    if (policy_may_wait(&peer->broker->policy, peer->cred.uid, peer->user->waiting, &failure) == 0)
        return true;
    refuse(peer, call, status_from_errno(failure.err), "%s", failure.why);
    return false;
}

/* --- Acquire and Release --- */

bool broker_name_accepted(struct peer *peer, struct call *call, const char *name)
{
    if (name && name_valid(name))
        return true;
    refuse(peer, call, STATUS_INVALID_REQUEST, "network name '%s' is malformed: use " NAME_RULES,
           QUOTE(name ? name : ""));
    return false;
}

static int may_hold(struct peer *peer, const char *name, struct failure *failure)
{
    const struct broker *broker = peer->broker;
    unsigned others = registry_count_networks(broker->registry, peer->cred.uid, name);
    return policy_may_hold(&broker->policy, peer->cred.uid, others, failure);
}

/* By what the administrator has written for all networks; -EPERM with words. A file that cannot be
 * understood lets in root, who can mend it. */
static int may_use_by_general_policy(struct peer *peer, struct failure *failure)
{
    const struct broker *broker = peer->broker;
    struct definition *general;

    if (peer->cred.uid == 0)
        return 0;
    int r = catalog_find(broker->general, "policy", &general, failure);
    if (r == -ENOENT)
        return policy_may_use_usual(&broker->policy, &peer->cred, failure);
    if (r < 0)
        return failure_set(failure, -EPERM, "only root may use it until %s is mended",
                           broker->config.general_policy.where);
    r = policy_may_use(&broker->policy, &peer->cred, general, failure);
    (void)definition_unref(general);
    return r;
}

static int may_use(struct peer *peer, const struct definition *def, struct failure *failure)
{
    const struct broker *broker = peer->broker;

    if (broker->general && !def->allow.given)
        return may_use_by_general_policy(peer, failure);
    return policy_may_use(&broker->policy, &peer->cred, def, failure);
}

/* What it is defined as at this moment, if the peer may use it. */
static int find_definition(struct peer *peer, const char *name, struct definition **ret,
                           struct failure *failure)
{
    const struct broker *broker = peer->broker;
    struct definition *def;

    int r = catalog_find(broker->catalog, name, &def, failure);
    if (r < 0)
        return r;
    r = may_use(peer, def, failure);
    if (r < 0)
        (void)definition_unref(def);
    else
        *ret = def;
    return r;
}

/* A network that exists is what the definition says now before anybody gets it. */
static void update_network(struct registry *registry, struct definition *def)
{
    struct network *net = registry_find(registry, def->net.name);
    if (net)
        redefine(net, def);
    net = registry_find(registry, def->net.name);
    if (net && redefine_pending(net))
        registry_renew(net);
}

static void acquire(struct peer *peer, struct call *call, struct definition *def)
{
    struct registry *registry = peer->broker->registry;
    const char *name = def->net.name;

    update_network(registry, def);
    if (!registry_is_ready(registry, name) && !broker_may_wait(peer, call))
        return;
    log_debug("%s asks for '%s'", peer->tag, name);
    peer_park(peer, call);
    if (registry_acquire(registry, peer, def) < 0)
        refuse_no_memory(peer, peer_take_call(peer));
}

void broker_acquire(struct peer *peer, struct call *call, const char *name)
{
    struct definition *def = NULL;
    struct failure failure;

    if (!broker_name_accepted(peer, call, name))
        return;

    int r = find_definition(peer, name, &def, &failure);
    if (r == 0)
        r = may_hold(peer, name, &failure);
    if (r < 0)
        refuse(peer, call, status_from_errno(r), "network '%s': %s", name, failure.why);
    else
        acquire(peer, call, def);
    (void)definition_unref(def);
}

void broker_acquired(void *arg, struct peer *peer, const struct network *net, bool again)
{
    struct broker *broker = arg;
    log_user(peer->cred.uid, again ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
             "%s acquired '%s' (%u client%s)", peer->tag, net->name, net->clients,
             plural(net->clients));
    if (!again)
        monitor_tell_came(peer, net);
    broker->transport->answer_network(peer_take_call(peer), net->handle);
}

void broker_refused(void *arg, struct peer *peer, const char *name, const struct failure *failure)
{
    (void)arg;
    refuse(peer, peer_take_call(peer), status_from_create_errno(failure->err),
           "network '%s' cannot be created: %s", name, failure->why);
}

/* It may have ended with its last client. */
static void tell_released(const struct peer *peer, const char *name)
{
    const struct network *net = registry_find(peer->broker->registry, name);
    if (net)
        monitor_tell_left(peer, net, net->clients);
}

void broker_release(struct peer *peer, struct call *call, const char *name)
{
    struct broker *broker = peer->broker;

    if (!broker_name_accepted(peer, call, name))
        return;
    if (registry_release(broker->registry, peer, name) < 0) {
        refuse(peer, call, STATUS_INVALID_REQUEST,
               "this connection does not hold network '%s': there is nothing to release", name);
        return;
    }
    log_user(peer->cred.uid, LOG_LEVEL_INFO, "%s released '%s'", peer->tag, name);
    tell_released(peer, name);
    broker->transport->answer_done(call);
}

/* --- List and Status --- */

void broker_answer_report(struct peer *peer, struct call *call, const char *only,
                          enum report_kind kind)
{
    const struct broker *broker = peer->broker;
    bool detailed = kind == REPORT_STATUS;
    struct view view;

    if (view_fill(&view, broker->registry, only, detailed, &broker->policy, peer->cred.uid) < 0) {
        refuse_no_memory(peer, call);
        return;
    }
    view.report.forwards = kind == REPORT_FORWARDS;
    view.report.uptime_usec = broker_now(broker) - broker->started;
    if (broker->backend.ops->describe)
        broker->backend.ops->describe(broker->backend.self, &view.report.backend);
    broker->transport->answer_report(call, &view.report);
    view_clear(&view);
}

void broker_list(struct peer *peer, struct call *call)
{
    broker_answer_report(peer, call, NULL, REPORT_LIST);
}

bool broker_network_exists(struct peer *peer, struct call *call, const char *name)
{
    if (registry_find(peer->broker->registry, name))
        return true;
    refuse(peer, call, STATUS_NOT_FOUND,
           "no network '%s' exists: acquire it, or see what `vmnet-brokerctl list` shows", name);
    return false;
}

/* name NULL: all. */
static void answer_status(struct peer *peer, struct call *call, const char *name)
{
    if (!name || broker_network_exists(peer, call, name))
        broker_answer_report(peer, call, name, REPORT_STATUS);
}

/* A failure needs no words here: the figures are then the last known ones, and the
 * backend's description says what is wrong. */
static void on_inspected(void *arg, const struct failure *failure)
{
    struct errand *errand = arg;
    struct peer *peer = errand->peer;
    char network[NAME_SIZE];

    (void)failure;
    memcpy(network, errand->network, sizeof network);
    errand_free(errand);
    if (peer)
        answer_status(peer, peer_take_call(peer), network[0] != '\0' ? network : NULL);
}

/* The helper is asked for a few of a user's at a time; beyond that the figures of these
 * have to do. Whoever asks without end would else keep the helper busy, and get all the
 * answers at once, while others wait. */
static bool inspects_enough(const struct broker *broker, uid_t uid)
{
    const struct errand *errand;
    unsigned n = 0;
    TAILQ_FOREACH (errand, &broker->errands, link)
        n += errand->kind == ERRAND_INSPECT && errand->uid == uid;
    return n >= INSPECTIONS_MAX;
}

void broker_status(struct peer *peer, struct call *call, const char *name)
{
    struct broker *broker = peer->broker;
    const struct backend *backend = &broker->backend;

    if (name && !broker_name_accepted(peer, call, name))
        return;
    if (!backend->ops->inspect || inspects_enough(broker, peer->cred.uid) ||
        (name && !registry_find(broker->registry, name))) {
        answer_status(peer, call, name);
        return;
    }
    if (!broker_may_wait(peer, call))
        return;

    struct errand *errand = errand_new(&broker->errands, peer, ERRAND_INSPECT, name);
    if (!errand) {
        refuse_no_memory(peer, call);
        return;
    }
    if (backend->ops->inspect(backend->self, on_inspected, errand) < 0) {
        errand_free(errand);
        answer_status(peer, call, name);
        return;
    }
    peer_park(peer, call);
}

/* --- Leases --- */

/* Without what the peer may not see. Returns how many are left. */
static size_t leases_shown_to(const struct peer *peer, struct lease_view *leases, size_t n)
{
    const struct policy *policy = &peer->broker->policy;
    size_t shown = 0;

    for (size_t i = 0; i < n; i++)
        if (policy_sees(policy, peer->cred.uid, leases[i].uid))
            leases[shown++] = leases[i];
    return shown;
}

void broker_leases(struct peer *peer, struct call *call, const char *name)
{
    struct broker *broker = peer->broker;
    const struct backend *backend = &broker->backend;
    struct lease_view *leases = NULL;
    size_t n = 0;

    if (name &&
        (!broker_name_accepted(peer, call, name) || !broker_network_exists(peer, call, name)))
        return;
    if (backend->ops->leases && backend->ops->leases(backend->self, name, &leases, &n) < 0) {
        refuse_no_memory(peer, call);
        return;
    }
    broker->transport->answer_leases(call, leases, leases_shown_to(peer, leases, n));
    free(leases);
}

/* --- Monitor --- */

void broker_monitor(struct peer *peer, struct call *call)
{
    struct failure failure;
    int r = policy_may_watch(&peer->broker->policy, peer->cred.uid, peer->user->watching, &failure);
    if (r < 0) {
        refuse(peer, call, status_from_errno(r), "%s", failure.why);
        return;
    }
    peer_park(peer, call);
    peer->watches = true;
    peer->user->watching++;
    TAILQ_INSERT_TAIL(&peer->broker->watchers, peer, in_watchers);
}

/* --- Stop --- */

void broker_stop(struct peer *peer, struct call *call)
{
    struct broker *broker = peer->broker;
    struct failure failure;

    int r = policy_may_stop(&broker->policy, peer->cred.uid, &failure);
    if (r < 0) {
        refuse(peer, call, status_from_errno(r), "%s", failure.why);
        return;
    }
    peer_park(peer, call);
    leaving_asked(broker, peer);
}

/* --- all of them, for a transport --- */

const struct verbs broker_verbs = {
    .peer_new = broker_peer_new,
    .peer_gone = broker_peer_gone,
    .acquire = broker_acquire,
    .release = broker_release,
    .start_interface = broker_start_interface,
    .list = broker_list,
    .status = broker_status,
    .leases = broker_leases,
    .monitor = broker_monitor,
    .add_forward = broker_add_forward,
    .remove_forward = broker_remove_forward,
    .list_forwards = broker_list_forwards,
    .stop = broker_stop,
};
