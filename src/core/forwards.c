/* SPDX-License-Identifier: Apache-2.0 */
/* forwards.c - the verbs about ports of the host that lead to VMs.
 *
 * Whoever runs a VM may open ports of the host that lead to it, and close them again; to
 * others' VMs, and to addresses where nobody is yet, only root and whoever the broker belongs
 * to. What a network's definition forwards is its writer's affair, and is not touched here.
 */
#include "broker.h"

#include "broker_state.h"
#include "log.h"
#include "words.h"

#include <errno.h>
#include <string.h>

static const char *protocol_name(const struct forward_request *request)
{
    return request->protocol == FORWARD_TCP ? "TCP" : "UDP";
}

static int check_request(const struct forward_request *request, struct failure *why)
{
    if (request->external_port == 0 || request->internal_port == 0)
        return failure_set(why, -EINVAL, "ports are numbers from 1 to 65535");
    if (request->interface_id && !broker_interface_id_valid(request->interface_id))
        return failure_set(why, -EINVAL, "interface_id '%s' is malformed",
                           QUOTE(request->interface_id));
    if (!request->interface_id && request->address.version == 0)
        return failure_set(why, -EINVAL,
                           "where should the port lead? Give the interface_id or the address of a "
                           "VM");
    return 0;
}

static int check_system(const struct broker *broker, struct failure *why)
{
    if (broker->backend.ops->add_forward)
        return 0;
    return failure_set(why, -EOPNOTSUPP,
                       "on this system ports are forwarded by a network's definition: write "
                       "port_forwarding there");
}

/* The backend knows how many there are; those being added it may not count yet. */
static int check_limit(const struct broker *broker, uid_t uid, struct failure *why)
{
    const struct backend *backend = &broker->backend;
    const struct errand *errand;
    unsigned n = backend->ops->forwards_of(backend->self, uid);

    TAILQ_FOREACH (errand, &broker->errands, link)
        n += errand->kind == ERRAND_ADD_FORWARD && errand->uid == uid;
    return policy_may_forward(&broker->policy, uid, n, why);
}

static int may_add(const struct broker *broker, const struct forward_request *request,
                   struct failure *why)
{
    const struct backend *backend = &broker->backend;
    struct forward_target target = backend->ops->forward_target(backend->self, request);
    int r = policy_may_open_port(&broker->policy, request->uid, request->external_port, why);

    if (r == 0)
        r = policy_may_lead_to(&broker->policy, request->uid, &target, why);
    return r < 0 ? r : check_limit(broker, request->uid, why);
}

static void refuse_forward(struct peer *peer, struct call *call, enum errand_kind kind,
                           unsigned port, const struct failure *failure)
{
    refuse(peer, call, status_from_errno(failure->err), "cannot %s port %u: %s",
           kind == ERRAND_ADD_FORWARD ? "forward" : "stop forwarding", port, failure->why);
}

static void on_done(void *arg, const struct failure *failure)
{
    struct errand *errand = arg;
    struct broker *broker = errand->broker;
    struct peer *peer = errand->peer;
    enum errand_kind kind = errand->kind;
    unsigned port = errand->port;
    char network[NAME_SIZE];

    memcpy(network, errand->network, sizeof network);
    errand_free(errand);
    if (!peer)
        return; /* what a client asked for with its last breath was done all the same */
    if (failure) {
        refuse_forward(peer, peer_take_call(peer), kind, port, failure);
        return;
    }
    log_user(peer->cred.uid, LOG_LEVEL_INFO, "%s %s port %u to network '%s'", peer->tag,
             kind == ERRAND_ADD_FORWARD ? "forwards" : "forwards no more", port, network);
    broker->transport->answer_done(peer_take_call(peer));
}

typedef int (*forward_op)(void *self, const struct forward_request *request, backend_forwarded done,
                          void *arg, struct failure *why);

static void carry_out(struct peer *peer, struct call *call, enum errand_kind kind, forward_op op,
                      const struct forward_request *request)
{
    struct broker *broker = peer->broker;
    struct failure failure;

    if (!broker_may_wait(peer, call))
        return;
    struct errand *errand = errand_new(&broker->errands, peer, kind, request->network);
    if (!errand) {
        refuse_no_memory(peer, call);
        return;
    }
    errand->port = request->external_port;
    int r = op(broker->backend.self, request, on_done, errand, &failure);
    if (r < 0) {
        errand_free(errand);
        refuse_forward(peer, call, kind, request->external_port, &failure);
        return;
    }
    peer_park(peer, call);
}

void broker_add_forward(struct peer *peer, struct call *call, const struct forward_request *request)
{
    const struct broker *broker = peer->broker;
    struct forward_request own = *request;
    struct failure failure;

    own.uid = peer->cred.uid; /* vouched for by the kernel, whatever the transport filled in */
    if (!broker_name_accepted(peer, call, own.network))
        return;
    int r = check_request(&own, &failure);
    if (r == 0)
        r = check_system(broker, &failure);
    if (r < 0) {
        refuse(peer, call, status_from_errno(r), "%s", failure.why);
        return;
    }
    if (!broker_network_exists(peer, call, own.network))
        return;
    r = may_add(broker, &own, &failure);
    if (r < 0) {
        refuse(peer, call, status_from_errno(r), "%s", failure.why);
        return;
    }
    carry_out(peer, call, ERRAND_ADD_FORWARD, broker->backend.ops->add_forward, &own);
}

/* Is it the peer's to remove? */
static int may_remove(const struct peer *peer, const struct forward_request *request,
                      struct failure *why)
{
    const struct broker *broker = peer->broker;
    const struct backend *backend = &broker->backend;
    uid_t owner = 0;
    int r = backend->ops->forward_owner(backend->self, request, &owner);

    if (r == -ENOENT)
        return failure_set(why, r, "%s port %u is not forwarded to network '%s'",
                           protocol_name(request), request->external_port, request->network);
    if (r == -EPERM)
        return failure_set(why, r,
                           "%s port %u is forwarded by the definition of network '%s': remove it "
                           "there (vmnet-brokerctl forward remove --save)",
                           protocol_name(request), request->external_port, request->network);
    if (r == 0 && !policy_sees(&broker->policy, peer->cred.uid, owner))
        return failure_set(why, -EPERM,
                           "%s port %u is forwarded for uid %u: ask that user, or root",
                           protocol_name(request), request->external_port, (unsigned)owner);
    return r;
}

void broker_remove_forward(struct peer *peer, struct call *call,
                           const struct forward_request *request)
{
    const struct broker *broker = peer->broker;
    struct forward_request own = *request;
    struct failure failure = { 0 };

    own.uid = peer->cred.uid;
    if (!broker_name_accepted(peer, call, own.network))
        return;
    int r = check_system(broker, &failure);
    if (r == 0)
        r = may_remove(peer, &own, &failure);
    if (r < 0) {
        refuse(peer, call, status_from_errno(r), "%s", failure.why);
        return;
    }
    carry_out(peer, call, ERRAND_REMOVE_FORWARD, broker->backend.ops->remove_forward, &own);
}

void broker_list_forwards(struct peer *peer, struct call *call, const char *name)
{
    if (name &&
        (!broker_name_accepted(peer, call, name) || !broker_network_exists(peer, call, name)))
        return;
    broker_answer_report(peer, call, name, REPORT_FORWARDS);
}
