/* SPDX-License-Identifier: Apache-2.0 */
#include "leaving.h"

#include "broker_state.h"
#include "log.h"
#include "words.h"

#include <errno.h>
#include <stdio.h>

/* --- who stands against it --- */

static bool nothing_exists(const struct broker *broker)
{
    return TAILQ_EMPTY(registry_networks(broker->registry));
}

/* " (pid 12, 34)", or as many as fit, which is enough to know where to begin. */
static void name_pids(const struct network *net, char *out, size_t size)
{
    const size_t room = sizeof " (pid -2147483648, ...)"; /* for one more, and for the end */
    const struct hold *hold;
    size_t n = 0;

    out[0] = '\0';
    TAILQ_FOREACH (hold, &net->holders, of_network) {
        if (n + room > size) {
            n += (size_t)snprintf(out + n, size - n, ", ...");
            break;
        }
        n += (size_t)snprintf(out + n, size - n, "%s%d", n > 0 ? ", " : " (pid ",
                              (int)hold->peer->cred.pid);
    }
    if (n > 0)
        (void)snprintf(out + n, size - n, ")");
}

/* Writes "'shared' by 2 clients (pid 12, 34) and 1 interface"; returns its length. */
static size_t name_users(const struct network *net, char *out, size_t size)
{
    char pids[80];
    name_pids(net, pids, sizeof pids);
    int len =
        snprintf(out, size, "'%s' by %u client%s%s and %u interface%s", net->name, net->clients,
                 plural(net->clients), pids, net->interfaces, plural(net->interfaces));
    return len > 0 && (size_t)len < size ? (size_t)len : size - 1;
}

/* Who stands against our exit, in words; false: nobody. */
static bool find_users(const struct broker *broker, char *out, size_t size)
{
    const struct network *net;
    size_t n = 0;
    TAILQ_FOREACH (net, registry_networks(broker->registry), link) {
        if (!network_has_users(net) || n + 3 >= size)
            continue;
        if (n > 0)
            n += (size_t)snprintf(out + n, size - n, "; ");
        n += name_users(net, out + n, size - n);
    }
    return n > 0;
}

static const struct network *find_stuck(const struct broker *broker)
{
    const struct network *net;
    TAILQ_FOREACH (net, registry_networks(broker->registry), link)
        if (net->state == NET_STUCK)
            return net;
    return NULL;
}

/* --- because somebody asked --- */

static struct peer *find_stopper(const struct broker *broker)
{
    struct peer *peer;
    TAILQ_FOREACH (peer, &broker->peers, link)
        if (peer->wants_stop)
            return peer;
    return NULL;
}

/* Whoever asked us to stop hears that we do not; message NULL: that we do. */
static void end_stop(struct broker *broker, enum status status, const char *message)
{
    struct peer *peer;

    broker->leaving.stopping = false;
    if (message)
        persistent_on(broker);
    while ((peer = find_stopper(broker))) {
        peer->wants_stop = false;
        if (message) {
            refuse(peer, peer_take_call(peer), status, "%s", message);
        } else {
            log_info("%s stops this broker", peer->tag);
            broker->transport->answer_done(peer_take_call(peer));
        }
    }
    if (!message && nothing_exists(broker)) /* nobody came while we answered */
        broker->loop->ops->quit(broker->loop->self, 0);
}

/* Once asked, we go on until nothing is left, even if the one who asked has gone; but
 * whoever acquires a network meanwhile comes first. */
static void go_on_stopping(struct broker *broker)
{
    char users[300], message[400];
    const struct network *stuck;

    if (find_users(broker, users, sizeof users)) {
        (void)snprintf(message, sizeof message, "the broker is in use: %s; stop these first",
                       users);
        end_stop(broker, STATUS_NOT_ALLOWED, message);
        return;
    }
    registry_remove_unused(broker->registry, false);
    if ((stuck = find_stuck(broker))) {
        (void)snprintf(message, sizeof message,
                       "network '%s' cannot be removed: see the broker's log, and try again",
                       stuck->name);
        end_stop(broker, STATUS_INTERNAL_ERROR, message);
    } else if (nothing_exists(broker)) {
        end_stop(broker, STATUS_SUCCESS, NULL);
    }
}

void leaving_asked(struct broker *broker, struct peer *peer)
{
    peer->wants_stop = true;
    broker->leaving.stopping = true;
    if (!find_users(broker, (char[300]){ 0 }, 300)) {
        persistent_off(broker);
        registry_remove_unused(broker->registry, true);
    }
    go_on_stopping(broker);
}

/* --- by ourselves --- */

static void leave_if_idle(struct broker *broker)
{
    uint64_t timeout = broker->config.idle_timeout_sec * USEC_PER_SEC;

    if (!broker->config.exit_when_idle || broker->n_peers > 0 || !nothing_exists(broker))
        return;
    if (broker_now(broker) - broker->leaving.alone_since < timeout)
        return;
    if (broker->config.last_call && broker->config.last_call(broker->config.last_call_arg))
        return;
    log_info("nobody needs this broker any more: exiting");
    broker->loop->ops->quit(broker->loop->self, 0);
}

static void on_timer(void *arg)
{
    leave_if_idle(arg);
}

void leaving_not_alone(struct broker *broker)
{
    broker->loop->ops->timer_stop(broker->leaving.timer);
}

void leaving_alone(struct broker *broker)
{
    broker->leaving.alone_since = broker_now(broker);
    if (broker->config.exit_when_idle)
        broker->loop->ops->timer_start(broker->leaving.timer,
                                       broker->config.idle_timeout_sec * USEC_PER_SEC);
}

int leaving_init(struct broker *broker)
{
    broker->leaving.timer = broker->loop->ops->timer_new(broker->loop->self, on_timer, broker);
    if (!broker->leaving.timer)
        return -ENOMEM;
    leaving_alone(broker);
    return 0;
}

void leaving_clear(struct broker *broker)
{
    broker->loop->ops->timer_free(broker->leaving.timer);
}

void leaving_reconsider(struct broker *broker)
{
    if (broker->leaving.stopping)
        go_on_stopping(broker);
    leave_if_idle(broker);
}
