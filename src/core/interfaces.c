/* SPDX-License-Identifier: Apache-2.0 */
/* interfaces.c - the verb that starts an interface of a VM on a network that its client holds.
 *
 * What is wrong with the request, whether the client holds the network and how many it may
 * have are the core's to say; identity and TAP are the backend's. It answers later, and its
 * client may be gone by then.
 */
#include "broker.h"

#include "broker_state.h"
#include "log.h"
#include "words.h"

#include <errno.h>
#include <string.h>

bool broker_interface_id_valid(const char *id)
{
    size_t len = 0;
    for (; id[len] != '\0'; len++)
        if (len >= 63 || id[len] <= ' ' || id[len] > '~')
            return false;
    return len > 0;
}

/* What is wrong with the form of a request: -EINVAL with *why in words, or 0. */
static int check_request(const struct iface_request *request, struct failure *why)
{
    if (request->interface_id && !broker_interface_id_valid(request->interface_id))
        return failure_set(why, -EINVAL,
                           "interface_id '%s' is malformed: use 1 to 63 printable ASCII "
                           "characters without blanks",
                           QUOTE(request->interface_id));
    if (request->name && !name_valid(request->name))
        return failure_set(why, -EINVAL, "name '%s' is malformed: use " NAME_RULES,
                           QUOTE(request->name));
    if (request->name && vm_name_reserved(request->name))
        return failure_set(why, -EINVAL,
                           "name '%s' is reserved, since the network uses it itself: choose "
                           "another one",
                           request->name);
    if (request->mac && !mac_is_unicast(*request->mac))
        return failure_set(why, -EINVAL,
                           "mac_address '%s' cannot be a VM's: use a unicast address, or none",
                           mac_format(*request->mac, (char[MAC_TEXT]){ 0 }));
    if (request->queues < 1 || request->queues > IFACE_QUEUES_MAX)
        return failure_set(why, -EINVAL, "%u queues: use 1 to %u", request->queues,
                           IFACE_QUEUES_MAX);
    return 0;
}

static int check_held(const struct peer *peer, const char *network, struct failure *why)
{
    const struct hold *hold = peer_find_hold(peer, network);
    if (hold && !hold->waiting)
        return 0;
    return failure_set(why, -EINVAL, "this connection does not hold network '%s': acquire it first",
                       network);
}

/* The backend knows how many interfaces live; those being started it may not count yet. */
static int may_start(const struct broker *broker, uid_t uid, unsigned queues,
                     struct failure *failure)
{
    const struct backend *backend = &broker->backend;
    const struct errand *errand;
    unsigned n, live_queues = 0;

    if (!backend->ops->interfaces_of)
        return 0;
    n = backend->ops->interfaces_of(backend->self, uid, &live_queues);
    queues += live_queues;
    TAILQ_FOREACH (errand, &broker->errands, link)
        if (errand->kind == ERRAND_START && errand->uid == uid) {
            n++;
            queues += errand->queues;
        }
    return policy_may_start(&broker->policy, uid, n, queues, failure);
}

/* The client may be gone when its interface comes: nobody will ever use that TAP. */
static void on_started(void *arg, const struct failure *failure, struct iface_handle *handle)
{
    struct errand *errand = arg;
    struct broker *broker = errand->broker;
    struct peer *peer = errand->peer;
    char network[NAME_SIZE];
    uid_t uid = errand->uid;

    memcpy(network, errand->network, sizeof network);
    errand_free(errand);
    if (failure && peer) {
        refuse(peer, peer_take_call(peer), status_from_errno(failure->err),
               "cannot start an interface on network '%s': %s", network, failure->why);
    } else if (!failure && peer) {
        log_user(peer->cred.uid, LOG_LEVEL_INFO, "%s started an interface on '%s'", peer->tag,
                 network);
        broker->transport->answer_interface(peer_take_call(peer), handle);
    } else if (!failure) {
        log_user(uid, LOG_LEVEL_INFO, "network '%s': ending an interface whose client is gone",
                 network);
        broker->backend.ops->drop_interface(broker->backend.self, handle);
    }
}

/* Everything is in order: have it started. */
static void start_interface(struct peer *peer, struct call *call,
                            const struct iface_request *request)
{
    struct broker *broker = peer->broker;
    struct iface_request own = *request;
    own.uid = peer->cred.uid; /* vouched for by the kernel, whatever the transport filled in */

    struct errand *errand = errand_new(&broker->errands, peer, ERRAND_START, own.network);
    if (!errand) {
        refuse_no_memory(peer, call);
        return;
    }
    errand->queues = own.queues;
    int r = broker->backend.ops->start_interface(broker->backend.self, &own, on_started, errand);
    if (r < 0) {
        errand_free(errand);
        refuse(peer, call, status_from_errno(r), "cannot start an interface on network '%s': %s",
               own.network, strerror(-r));
        return;
    }
    peer_park(peer, call);
}

void broker_start_interface(struct peer *peer, struct call *call,
                            const struct iface_request *request)
{
    struct broker *broker = peer->broker;
    struct failure failure;

    if (!broker_name_accepted(peer, call, request->network))
        return;

    int r = check_request(request, &failure);
    if (r == 0 && !broker->backend.ops->start_interface)
        r = failure_set(&failure, -EINVAL, "on this system clients start interfaces themselves");
    if (r == 0 && request->by_name && broker->config.closed)
        r = failure_set(&failure, -EINVAL,
                        "the TAPs of the system instance are in a namespace that its clients "
                        "cannot enter: take descriptors, not names, or use your own (--user)");
    if (r == 0)
        r = check_held(peer, request->network, &failure);
    if (r == 0)
        r = may_start(broker, peer->cred.uid, request->queues, &failure);
    if (r < 0) {
        refuse(peer, call, status_from_errno(r), "%s", failure.why);
        return;
    }
    if (broker_may_wait(peer, call))
        start_interface(peer, call, request);
}
