/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor.h"

#include "broker_state.h"

/* Without what this peer may not see. */
static struct event shown_to(const struct peer *peer, const struct event *event)
{
    const struct policy *policy = &peer->broker->policy;
    struct event shown = *event;

    if (event->client && !policy_sees(policy, peer->cred.uid, event->client->uid))
        shown.client = NULL;
    if (event->interface && !policy_sees(policy, peer->cred.uid, event->interface->uid))
        shown.interface = NULL;
    if (event->kind == EVENT_DEFINITION_BROKEN && !policy_sees_all(policy, peer->cred.uid))
        shown.message = NULL; /* it quotes the file */
    return shown;
}

void monitor_tell(struct broker *broker, const struct event *event)
{
    const struct peer *peer;

    TAILQ_FOREACH (peer, &broker->watchers, in_watchers) {
        const struct event shown = shown_to(peer, event);
        broker->transport->answer_event(peer->call, &shown);
    }
}

static void tell_client(enum event_kind kind, const struct peer *peer, const struct network *net,
                        unsigned count)
{
    const struct client_view client = { .pid = peer->cred.pid, .uid = peer->cred.uid };
    const struct event event = {
        .kind = kind, .network = net->name, .client = &client, .count = count
    };
    monitor_tell(peer->broker, &event);
}

void monitor_tell_came(const struct peer *peer, const struct network *net)
{
    tell_client(EVENT_CLIENT_CAME, peer, net, net->clients);
}

void monitor_tell_left(const struct peer *peer, const struct network *net, unsigned left)
{
    tell_client(EVENT_CLIENT_LEFT, peer, net, left);
}
