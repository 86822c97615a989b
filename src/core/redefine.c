/* SPDX-License-Identifier: Apache-2.0 */
#include "redefine.h"

#include "log.h"

#include <errno.h>
#include <string.h>

/* What only the core knows of. */
#define KEYS_OF_CORE                                                                               \
    (1u << KEY_DESCRIPTION | 1u << KEY_ALLOW | 1u << KEY_IDLE_TIMEOUT | 1u << KEY_PERSISTENT)
/* What the backend is told anew: what it hands out, and how long it outlives us. */
#define KEYS_OF_BACKEND                                                                            \
    (1u << KEY_DHCP_RESERVATIONS | 1u << KEY_PORT_FORWARDING | 1u << KEY_IDLE_TIMEOUT)

static definition_keys live_keys(const struct network *net)
{
    return KEYS_OF_CORE | (network_backend(net)->ops->update ? KEYS_OF_BACKEND : 0);
}

definition_keys redefine_pending(const struct network *net)
{
    return definition_differs(net->def, net->wanted) & ~live_keys(net);
}

void redefine_apply(struct network *net)
{
    const struct backend *backend = network_backend(net);
    const struct definition *before = net->applied ? net->applied : net->def;
    /* What a network that was found has of earlier definitions, only the backend knows. */
    bool fresh =
        !net->applied && (net->found || net->wanted->n_reservations || net->wanted->n_forwards);

    if (!backend->ops->update || !net->handle ||
        (!fresh && !(definition_differs(before, net->wanted) & KEYS_OF_BACKEND)))
        return;
    int r = backend->ops->update(backend->self, net->wanted);
    if (r < 0)
        log_error("network '%s': its definition cannot be applied: %s", net->name, strerror(-r));
    definition_unref(net->applied);
    net->applied = definition_ref(net->wanted);
}

void redefine(struct network *net, struct definition *newest)
{
    if (!newest) {
        registry_unkeep(net);
        return;
    }
    if (newest == net->wanted)
        return;

    definition_keys keys = definition_differs(net->wanted, newest);
    definition_unref(net->wanted);
    net->wanted = definition_ref(newest);
    registry_redefined(net, keys & live_keys(net), redefine_pending(net));
    redefine_apply(net);
    if (keys & 1u << KEY_IDLE_TIMEOUT)
        registry_idle_time_changed(net);
    if (!newest->net.persistent)
        registry_unkeep(net);
    else if (net->kept && redefine_pending(net))
        registry_renew(net); /* last: it may end the network */
}
