/* SPDX-License-Identifier: Apache-2.0 */
/* broker_state.c - the broker as an object, and what is told to it unasked: by the backend,
 * by the registry, and that definitions have changed.
 */
#include "broker_state.h"

#include "accounts.h"
#include "log.h"
#include "monitor.h"
#include "redefine.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names of keys: all of them fit. */
#define KEYS_TEXT 320

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value > 0 ? value : fallback;
}

static struct policy_limits limits_or_defaults(const struct policy_limits *wish)
{
    const struct policy_limits usual = policy_limits_for(ULONG_MAX);

    return (struct policy_limits){
        .connections = or_default(wish->connections, usual.connections),
        .networks = or_default(wish->networks, usual.networks),
        .interfaces = or_default(wish->interfaces, usual.interfaces),
        .queues = or_default(wish->queues, usual.queues),
        .waiting = or_default(wish->waiting, usual.waiting),
        .watchers = or_default(wish->watchers, usual.watchers),
        .forwards = or_default(wish->forwards, usual.forwards),
        .all_connections = or_default(wish->all_connections, usual.all_connections),
    };
}

static struct accounts accounts_or_machine(const struct accounts *wish)
{
    return (struct accounts){ .user = wish->user ? wish->user : account_user,
                              .group = wish->group ? wish->group : account_group };
}

static void on_changed(void *arg)
{
    persistent_reconsider(arg);
    leaving_reconsider(arg);
}

static void on_created(void *arg, struct network *net)
{
    const struct event event = { .kind = EVENT_NETWORK_CREATED, .network = net->name };
    monitor_tell(arg, &event);
    redefine_apply(net);
}

static void on_gone(void *arg, const char *name, const struct failure *failure)
{
    const struct event event = { .kind = EVENT_NETWORK_REMOVED,
                                 .network = name,
                                 .message = failure ? failure->why : NULL };
    monitor_tell(arg, &event);
}

static void on_redefined(void *arg, const struct network *net, definition_keys applied,
                         definition_keys pending)
{
    char now[KEYS_TEXT], later[KEYS_TEXT], message[2 * KEYS_TEXT + 64];
    const struct event event = { .kind = EVENT_DEFINITION_CHANGED,
                                 .network = net->name,
                                 .message = message };

    (void)definition_keys_format(applied, now, sizeof now);
    (void)definition_keys_format(pending, later, sizeof later);
    (void)snprintf(message, sizeof message, "%s%s%s%s", applied ? "applied: " : "", now,
                   pending ? (applied ? "; pending until it is created again: "
                                      : "pending until it is created again: ")
                           : "",
                   later);
    log_info("network '%s': its definition has changed, %s", net->name, message);
    monitor_tell(arg, &event);
}

/* One that is nobody's network: the first words, as the log has them all. */
static void on_broken(void *arg, const char *name, const char *words)
{
    const struct event event = { .kind = EVENT_DEFINITION_BROKEN,
                                 .network = name,
                                 .message = words };
    monitor_tell(arg, &event);
}

struct broker *broker_new(const struct broker_config *config, const struct loop *loop,
                          const struct transport_ops *transport)
{
    struct broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return NULL;
    broker->config = *config;
    broker->policy = (struct policy){ .owner = config->owner,
                                      .accounts = accounts_or_machine(&config->accounts),
                                      .limits = limits_or_defaults(&config->limits) };
    broker->loop = loop;
    broker->transport = transport;
    TAILQ_INIT(&broker->peers);
    TAILQ_INIT(&broker->users);
    TAILQ_INIT(&broker->watchers);
    TAILQ_INIT(&broker->errands);
    broker->started = broker_now(broker);

    struct registry_events events = { .acquired = broker_acquired,
                                      .refused = broker_refused,
                                      .changed = on_changed,
                                      .created = on_created,
                                      .gone = on_gone,
                                      .redefined = on_redefined,
                                      .arg = broker };
    broker->registry = registry_new(loop, config->idle_timeout_sec, &events);
    broker->catalog = catalog_new(&config->definitions, on_broken, broker);
    if (config->general_policy.ops)
        broker->general = catalog_new(&config->general_policy, NULL, NULL);
    if (!broker->registry || !broker->catalog || (config->general_policy.ops && !broker->general) ||
        persistent_init(broker) < 0 || leaving_init(broker) < 0) {
        broker_free(broker);
        return NULL;
    }
    return broker;
}

void broker_set_backend(struct broker *broker, const struct backend *backend)
{
    broker->backend = *backend;
    registry_set_backend(broker->registry, &broker->backend);
}

/* What the broker chose itself when the network was created is no difference. */
static struct net_def without_choices(struct broker *broker, const struct net_def *net)
{
    struct net_def plain = *net;
    struct definition *now = NULL;
    struct failure failure;

    if (catalog_find(broker->catalog, net->name, &now, &failure) < 0)
        return plain;
    if (now->net.subnet.prefix == 0)
        plain.subnet = now->net.subnet;
    if (now->net.prefix6.len == 0)
        plain.prefix6 = now->net.prefix6;
    if (now->net.idle_timeout_sec == UINT32_MAX)
        plain.idle_timeout_sec = UINT32_MAX;
    plain.persistent = now->net.persistent; /* nothing of the network itself */
    (void)definition_unref(now);
    return plain;
}

static void on_found(void *arg, const struct net_def *net, struct net_handle *handle, unsigned live)
{
    struct broker *broker = arg;
    struct definition *def = NULL;

    const struct net_def plain = without_choices(broker, net);
    if (definition_from_net(&plain, &def) < 0) {
        log_error("network '%s': found, but there is no memory to adopt it", net->name);
        if (broker->backend.ops) /* else the backend is just being made: it is never told again */
            broker->backend.ops->drop(broker->backend.self, handle);
        return;
    }
    registry_found(broker->registry, def, handle, live);
    (void)definition_unref(def);
}

static void on_applied(void *arg, const char *name, const struct failure *failure)
{
    struct broker *broker = arg;
    const struct network *net = registry_find(broker->registry, name);

    if (net && failure)
        log_error("network '%s': its definition is not applied whole: %s", name, failure->why);
}

static void on_interfaces(void *arg, const char *name, unsigned live)
{
    struct broker *broker = arg;
    registry_interfaces(broker->registry, name, live);
}

static void on_lost(void *arg, const char *name, const struct failure *failure)
{
    struct broker *broker = arg;
    registry_lost(broker->registry, name, failure);
}

static void on_happened(void *arg, const struct event *event)
{
    monitor_tell(arg, event);
}

static int add_claim(struct broker *broker, const char *name, struct taken_list *taken)
{
    struct definition *def = NULL;
    struct failure failure;
    int r = 0;

    if (catalog_find(broker->catalog, name, &def, &failure) < 0)
        return 0; /* a broken one claims nothing */
    if (def->net.subnet.prefix != 0)
        r = taken_add(taken, def->net.subnet, "network '%s', whose definition says so", name);
    (void)definition_unref(def);
    return r;
}

static int on_claimed(void *arg, const char *net_name, struct taken_list *taken)
{
    struct broker *broker = arg;
    struct def_names names = { 0 };
    int r = catalog_names(broker->catalog, &names);

    if (r == -E2BIG) /* more than we heed anywhere */
        r = 0;
    for (size_t i = 0; r == 0 && i < names.n; i++)
        if (strcmp(names.names[i], net_name) != 0)
            r = add_claim(broker, names.names[i], taken);
    def_names_clear(&names);
    return r;
}

struct backend_events broker_backend_events(struct broker *broker)
{
    return (struct backend_events){
        .found = on_found,
        .interfaces = on_interfaces,
        .lost = on_lost,
        .applied = on_applied,
        .happened = on_happened,
        .claimed = on_claimed,
        .arg = broker,
    };
}

/* Networks stay as they are: the next broker adopts them. */
void broker_free(struct broker *broker)
{
    struct peer *peer;
    struct errand *errand;

    if (!broker)
        return;
    registry_free(broker->registry); /* with everybody's holds */
    while ((peer = TAILQ_FIRST(&broker->peers))) {
        TAILQ_REMOVE(&broker->peers, peer, link);
        peer_free(peer);
    }
    if (broker->backend.ops)
        broker->backend.ops->free(broker->backend.self);
    while ((errand = TAILQ_FIRST(&broker->errands)))
        errand_free(errand); /* only now: until here the backend could have answered */
    leaving_clear(broker);
    persistent_clear(broker);
    catalog_free(broker->catalog);
    catalog_free(broker->general);
    free(broker);
}

/* One that has not been looked at since `turn`; NULL: none. */
static struct network *next_network(const struct broker *broker, unsigned turn)
{
    struct network *net;
    TAILQ_FOREACH (net, registry_networks(broker->registry), link)
        if (net->looked_at != turn)
            return net;
    return NULL;
}

/* A broken definition leaves its network as it is; a deleted one lets its VMs be. */
static void look_at(struct broker *broker, struct network *net)
{
    struct definition *def = NULL;
    struct failure failure;

    int r = catalog_find(broker->catalog, net->name, &def, &failure);
    if (r == 0 || r == -ENOENT)
        redefine(net, def);
    (void)definition_unref(def);
}

void broker_definitions_changed(struct broker *broker)
{
    struct network *net;
    unsigned turn = ++broker->turns;

    while ((net = next_network(broker, turn))) {
        net->looked_at = turn;
        look_at(broker, net); /* which may change the list */
    }
    persistent_keep(broker);
}
