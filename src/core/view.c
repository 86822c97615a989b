/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include "redefine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool shown(const struct network *net, const char *only)
{
    return !only || strcmp(net->name, only) == 0;
}

static size_t add_holders(struct client_view *out, const struct hold_list *list,
                          const struct policy *policy, uid_t asker)
{
    const struct hold *hold;
    size_t n = 0;
    TAILQ_FOREACH (hold, list, of_network) {
        const struct peer_cred *cred = &hold->peer->cred;
        if (policy_sees(policy, asker, cred->uid))
            out[n++] = (struct client_view){ .pid = cred->pid, .uid = cred->uid };
    }
    return n;
}

static void fill_network(struct network_view *out, const struct network *net)
{
    *out = (struct network_view){
        .def = &net->def->net,
        .definition = net->wanted,
        .pending = redefine_pending(net),
        .state = net_state_name(net->state),
        .clients = net->clients,
        .interfaces = net->interfaces,
        .handle = net->handle,
    };
}

int view_fill(struct view *view, const struct registry *reg, const char *only, bool detailed,
              const struct policy *policy, uid_t asker)
{
    const struct network *net;
    size_t n_networks = 0, n_clients = 0, k = 0;

    TAILQ_FOREACH (net, registry_networks(reg), link) {
        n_networks += shown(net, only);
        n_clients += shown(net, only) ? net->clients : 0;
    }
    *view = (struct view){
        .networks = calloc(n_networks + 1, sizeof *view->networks),
        .holders = calloc(n_clients + 1, sizeof *view->holders),
    };
    if (!view->networks || !view->holders) {
        view_clear(view);
        return -ENOMEM;
    }

    struct client_view *room = view->holders;
    TAILQ_FOREACH (net, registry_networks(reg), link) {
        if (!shown(net, only))
            continue;
        struct network_view *out = &view->networks[k++];
        fill_network(out, net);
        if (detailed) {
            out->holders = room;
            out->n_holders = add_holders(room, &net->holders, policy, asker);
            out->n_holders += add_holders(room + out->n_holders, &net->waiters, policy, asker);
        }
        room += net->clients;
    }
    view->report = (struct broker_report){
        .networks = view->networks,
        .n_networks = n_networks,
        .detailed = detailed,
        .sees_all = policy_sees_all(policy, asker),
        .asker = asker,
    };
    return 0;
}

void view_clear(struct view *view)
{
    free(view->networks);
    free(view->holders);
    *view = (struct view){ 0 };
}
