/* SPDX-License-Identifier: Apache-2.0 */
/* stranded.c - see stranded.h. */
#include "stranded.h"

#include "holders.h"
#include "log.h"
#include "mem.h"
#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOOK_USEC 2000000u /* a look takes some milliseconds of the spawner's time */

struct stranded_net {
    struct netd_network network;
    uint64_t taps;
    struct netd_stranded said;
};

struct stranded {
    struct stranded_setup setup;
    struct stranded_net *at[NETWORKS_MAX]; /* by index */
    bool orphans;
    sd_event_source *look;
};

/* ---- before we begin ----------------------------------------------------------------- */

/* Those that were open when the journal ended. */
static uint64_t taps_of(const struct journal_state *old, uint32_t index)
{
    uint64_t taps = old->networks[index].stranded;
    unsigned k;

    for (size_t i = 0; i < old->n_taps; i++)
        if (old->taps[i].index == index && sscanf(old->taps[i].interface.tap, "vt%*u.%u", &k) == 1)
            taps |= tap_bit(k);
    return taps;
}

static void review(struct journal_state *old, uint32_t index)
{
    struct journal_network *net = &old->networks[index];
    const struct subnet4 subnet = { .base = net->network.ipv4_base,
                                    .prefix = net->network.ipv4_prefix };
    char text[SUBNET4_TEXT];
    uint64_t taps = taps_of(old, index);
    pid_t holder = taps ? holders_find(index, taps) : 0;

    child_end(&net->relay); /* which listens there for nobody any more */
    if (holder == 0) {
        journal_state_forget(old, index);
        return;
    }
    if (!net->stranded)
        log_error("network '%s' (%s) is lost with its namespace, which nobody can enter any more; "
                  "process %d, for one, still has a VM on it",
                  net->network.name, subnet4_format(subnet, text), (int)holder);
    journal_state_strand(old, index, taps);
}

void stranded_review(struct journal_state *old, bool lost)
{
    for (uint32_t i = 0; i < NETWORKS_MAX; i++)
        if (old->networks[i].stranded || (lost && old->networks[i].known))
            review(old, i);
}

/* ---- while we run -------------------------------------------------------------------- */

static void over(struct stranded *s, uint32_t index)
{
    AUTO_FREE struct stranded_net *net = take_ptr(&s->at[index]);

    log_info("network '%s': the last VM of its lost namespace has ended", net->network.name);
    if (journal_network_gone(s->setup.journal, index) < 0)
        log_warning("network '%s': cannot write that down", net->network.name);
    net->said.holder = 0;
    s->setup.over(s->setup.arg, &net->said);
}

static int on_look(sd_event_source *source, uint64_t usec, void *arg)
{
    struct stranded *s = arg;

    (void)usec;
    for (uint32_t i = 0; i < NETWORKS_MAX; i++) {
        if (!s->at[i])
            continue;
        pid_t holder = spawner_find_holder(s->setup.spawner, i, s->at[i]->taps);
        if (holder > 0)
            s->at[i]->said.holder = holder;
        if (holder == 0)
            over(s, i);
    }
    if (s->orphans && spawner_sweep_orphans(s->setup.spawner) == 0) {
        s->orphans = false;
        s->setup.over(s->setup.arg, NULL);
    }
    if (!stranded_any(s))
        return 0;
    (void)sd_event_source_set_time_relative(source, LOOK_USEC);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int add(struct stranded *s, uint32_t index, const struct journal_network *old)
{
    const struct netd_network *network = &old->network;
    struct stranded_net *net = calloc(1, sizeof *net);

    if (!net)
        return -ENOMEM;
    net->network = *network;
    net->taps = old->stranded;
    memcpy(net->said.network, network->name, sizeof net->said.network);
    memcpy(net->said.ipv6, network->ipv6, sizeof net->said.ipv6);
    net->said.ipv4_base = network->ipv4_base;
    net->said.ipv4_prefix = network->ipv4_prefix;
    net->said.ipv6_len = network->ipv6_len;
    net->said.holder = spawner_find_holder(s->setup.spawner, index, net->taps);
    if (net->said.holder <= 0) /* it has just gone: the first look says so */
        net->said.holder = 1;
    s->at[index] = net;
    return 0;
}

int stranded_new(const struct stranded_setup *setup, const struct journal_state *state,
                 struct stranded **ret)
{
    struct stranded *s = calloc(1, sizeof *s);
    int r = s ? 0 : -ENOMEM;

    if (!s)
        return r;
    s->setup = *setup;
    s->orphans = state->orphans;
    for (uint32_t i = 0; r == 0 && i < NETWORKS_MAX; i++)
        if (state->networks[i].stranded)
            r = add(s, i, &state->networks[i]);
    if (r == 0 && stranded_any(s))
        r = sd_event_add_time_relative(setup->event, &s->look, CLOCK_MONOTONIC, LOOK_USEC,
                                       LOOK_USEC / 4, on_look, s);
    if (r < 0) {
        stranded_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void stranded_free(struct stranded *s)
{
    if (!s)
        return;
    sd_event_source_disable_unref(s->look);
    for (uint32_t i = 0; i < NETWORKS_MAX; i++)
        free(s->at[i]);
    free(s);
}

bool stranded_any(const struct stranded *s)
{
    bool any = s && s->orphans;

    for (uint32_t i = 0; s && !any && i < NETWORKS_MAX; i++)
        any = s->at[i] != NULL;
    return any;
}

const struct netd_stranded *stranded_at(const struct stranded *s, uint32_t index)
{
    return s && s->at[index] ? &s->at[index]->said : NULL;
}

void stranded_describe(const struct stranded *s, struct journal_state *state)
{
    for (uint32_t i = 0; s && i < NETWORKS_MAX; i++)
        if (s->at[i])
            state->networks[i] = (struct journal_network){ .known = true,
                                                           .stranded = s->at[i]->taps,
                                                           .network = s->at[i]->network };
}
