/* SPDX-License-Identifier: Apache-2.0 */
#include "persistent.h"

#include "broker_state.h"
#include "log.h"

#include <errno.h>
#include <string.h>

#define RETRY_SEC 10u

static void on_timer(void *arg)
{
    struct broker *broker = arg;
    broker->persistent.waiting = false;
    persistent_keep(broker);
}

int persistent_init(struct broker *broker)
{
    struct persistent *p = &broker->persistent;
    p->retry = broker->loop->ops->timer_new(broker->loop->self, on_timer, broker);
    return p->retry ? 0 : -ENOMEM;
}

void persistent_clear(struct broker *broker)
{
    broker->loop->ops->timer_free(broker->persistent.retry);
    def_names_clear(&broker->persistent.names);
}

/* What is broken or gone has been logged by the catalog. True: it is persistent. */
static bool keep(struct broker *broker, const char *name)
{
    struct definition *def = NULL;
    struct failure failure;

    if (catalog_find(broker->catalog, name, &def, &failure) < 0)
        return false;
    bool persistent = def->net.persistent;
    if (persistent && registry_keep(broker->registry, def) < 0)
        log_error("network '%s': cannot keep it: not enough memory", name);
    (void)definition_unref(def);
    return persistent;
}

void persistent_keep(struct broker *broker)
{
    struct def_names all = { 0 }, kept = { 0 };

    if (broker->persistent.off)
        return;
    int r = catalog_names(broker->catalog, &all);
    if (r < 0)
        (void)log_failure(r, "cannot read all names of defined networks");
    for (size_t i = 0; i < all.n; i++)
        if (keep(broker, all.names[i]))
            memmove(all.names[kept.n++], all.names[i], NAME_SIZE);
    all.n = kept.n;
    def_names_clear(&broker->persistent.names);
    broker->persistent.names = all;
    persistent_reconsider(broker);
}

void persistent_off(struct broker *broker)
{
    const struct def_names *names = &broker->persistent.names;

    broker->persistent.off = true;
    broker->loop->ops->timer_stop(broker->persistent.retry);
    broker->persistent.waiting = false;
    for (size_t i = 0; i < names->n; i++) {
        struct network *net = registry_find(broker->registry, names->names[i]);
        if (net)
            registry_unkeep(net);
    }
}

void persistent_on(struct broker *broker)
{
    if (!broker->persistent.off)
        return;
    broker->persistent.off = false;
    persistent_keep(broker);
}

void persistent_reconsider(struct broker *broker)
{
    struct persistent *p = &broker->persistent;

    for (size_t i = 0; i < p->names.n && !p->waiting && !p->off; i++)
        if (!registry_find(broker->registry, p->names.names[i])) {
            p->waiting = true;
            broker->loop->ops->timer_start(p->retry, RETRY_SEC * USEC_PER_SEC);
        }
}
