/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include "broker_state.h"
#include "str.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int copy_groups(struct peer *peer, const struct peer_cred *cred)
{
    if (cred->n_groups == 0)
        return 0;
    peer->groups = malloc(cred->n_groups * sizeof *peer->groups);
    if (!peer->groups)
        return -ENOMEM;
    memcpy(peer->groups, cred->groups, cred->n_groups * sizeof *peer->groups);
    return 0;
}

struct peer *peer_new(struct broker *broker, const struct peer_cred *cred, unsigned number)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    peer->broker = broker;
    peer->cred = *cred;
    if (copy_groups(peer, cred) < 0 || !(peer->user = user_join(&broker->users, cred->uid))) {
        free(peer->groups);
        free(peer);
        return NULL;
    }
    peer->cred.groups = peer->groups;
    TAILQ_INIT(&peer->holds);
    (void)str_format(peer->tag, sizeof peer->tag, "[peer %u pid %ld uid %u]", number,
                     (long)cred->pid, (unsigned)cred->uid);
    return peer;
}

void peer_free(struct peer *peer)
{
    assert(TAILQ_EMPTY(&peer->holds));
    if (peer->errand)
        peer->errand->peer = NULL;
    if (peer->call)
        (void)peer_take_call(peer);
    user_leave(&peer->broker->users, peer->user);
    free(peer->groups);
    free(peer);
}

void peer_park(struct peer *peer, struct call *call)
{
    assert(!peer->call); /* a transport gives us one at a time */
    peer->call = call;
    peer->user->waiting++;
}

struct call *peer_take_call(struct peer *peer)
{
    struct call *call = peer->call;
    assert(call);
    peer->call = NULL;
    peer->user->waiting--;
    return call;
}

struct hold *peer_find_hold(const struct peer *peer, const char *network)
{
    struct hold *hold;
    TAILQ_FOREACH (hold, &peer->holds, of_peer)
        if (strcmp(hold->network->name, network) == 0)
            return hold;
    return NULL;
}

struct errand *errand_new(struct errand_list *all, struct peer *peer, enum errand_kind kind,
                          const char *network)
{
    struct errand *errand = calloc(1, sizeof *errand);
    if (!errand)
        return NULL;
    errand->all = all;
    errand->broker = peer->broker;
    errand->peer = peer;
    errand->kind = kind;
    errand->uid = peer->cred.uid;
    (void)str_copy(errand->network, sizeof errand->network, network ? network : "");
    TAILQ_INSERT_TAIL(all, errand, link);
    peer->errand = errand;
    return errand;
}

void errand_free(struct errand *errand)
{
    if (errand->peer)
        errand->peer->errand = NULL;
    TAILQ_REMOVE(errand->all, errand, link);
    free(errand);
}
