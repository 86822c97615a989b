/* SPDX-License-Identifier: Apache-2.0 */
/* keep.c - see keep.h. */
#include "keep.h"

#include "log.h"
#include "mem.h"
#include "partner.h"
#include "supervise.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>

/* One that ends takes netd with it. */
struct watched {
    const struct partner *partner;
    struct keep *keep;
    sd_event_source *end;
};

struct keep {
    struct keep_setup setup;
    struct supervised anchor;
    struct watched spawner, hostside;
    sd_event_source *children;
};

static int write_down_anchor(void *arg, const struct child *child)
{
    const struct keep *keep = arg;
    const struct process anchor = { .pid = child->pid, .born = child->born };

    return journal_anchor(keep->setup.journal, &anchor);
}

static int start_anchor(void *arg, struct child *ret)
{
    const struct keep *keep = arg;
    const struct spawner_order order = { .kind = CHILD_ANCHOR,
                                         .write_down = write_down_anchor,
                                         .arg = arg };
    int r = spawner_run(keep->setup.spawner, &order, ret);

    if (r < 0)
        return r;
    keep->setup.anchor(keep->setup.arg, &(struct process){ .pid = ret->pid, .born = ret->born });
    log_info("process %d holds the namespaces open now", (int)ret->pid);
    return 0;
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct watched *watched = arg;
    struct keep *keep = watched->keep;

    (void)source;
    (void)fd;
    (void)events;
    watched->end = sd_event_source_disable_unref(watched->end);
    keep->setup.crippled(keep->setup.arg, watched->partner->what);
    return 0;
}

static int watch(struct keep *keep, struct watched *watched, const struct partner *partner)
{
    *watched = (struct watched){ .partner = partner, .keep = keep };
    /* Only its end is of interest: whatever it says is an answer, and read elsewhere. */
    return sd_event_add_io(keep->setup.event, &watched->end, partner->sock, 0, on_end, watched);
}

static void unwatch(struct watched *watched)
{
    watched->end = sd_event_source_disable_unref(watched->end);
}

static int on_child(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
    const struct keep *keep = arg;
    const struct watched *const partners[] = { &keep->spawner, &keep->hostside };

    (void)source;
    (void)info; /* several at once are one signal */
    for (size_t i = 0; i < N_ELEMENTS(partners); i++)
        if (partners[i]->end)
            stopped_look(partners[i]->partner->what, &partners[i]->partner->child);
    stopped_look(keep->anchor.what, &keep->anchor.child);
    return 0;
}

static int begin(struct keep *keep, const struct process *anchor)
{
    struct child child;
    int r;

    r = watch(keep, &keep->spawner, spawner_partner(keep->setup.spawner));
    if (r >= 0 && keep->setup.hostside)
        r = watch(keep, &keep->hostside, hostside_partner(keep->setup.hostside));
    if (r >= 0)
        r = sd_event_add_signal(keep->setup.event, &keep->children, SIGCHLD, on_child, keep);
    if (r < 0)
        return r;
    if (child_adopt(anchor->pid, anchor->born, &child) < 0)
        return supervise_start(&keep->anchor);
    return supervise_adopt(&keep->anchor, &child);
}

int keep_new(const struct keep_setup *setup, const struct process *anchor, struct keep **ret)
{
    struct keep *keep = calloc(1, sizeof *keep);
    int r;

    if (!keep)
        return -ENOMEM;
    keep->setup = *setup;
    keep->anchor = (struct supervised){ .what = "anchor", .start = start_anchor, .arg = keep };
    supervise_init(&keep->anchor, setup->event);
    r = begin(keep, anchor);
    if (r < 0) {
        keep_free(keep);
        return r;
    }
    *ret = keep;
    return 0;
}

void keep_free(struct keep *keep)
{
    if (!keep)
        return;
    unwatch(&keep->spawner);
    unwatch(&keep->hostside);
    sd_event_source_disable_unref(keep->children);
    supervise_leave(&keep->anchor);
    free(keep);
}
