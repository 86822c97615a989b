/* SPDX-License-Identifier: Apache-2.0 */
/* keep.c - see keep.h. */
#include "keep.h"

#include "log.h"
#include "mem.h"
#include "supervise.h"

#include <errno.h>
#include <stdlib.h>

struct keep {
    struct keep_setup setup;
    struct supervised anchor;
    sd_event_source *spawner, *hostside;
    struct stopped stopped; /* the spawner */
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

static int on_spawner(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct keep *keep = arg;

    (void)source;
    (void)fd;
    (void)events;
    keep->spawner = sd_event_source_disable_unref(keep->spawner);
    keep->setup.crippled(keep->setup.arg, "spawner");
    return 0;
}

static int on_hostside(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct keep *keep = arg;

    (void)source;
    (void)fd;
    (void)events;
    keep->hostside = sd_event_source_disable_unref(keep->hostside);
    keep->setup.crippled(keep->setup.arg, "process for the host's side");
    return 0;
}

static int begin(struct keep *keep, const struct process *anchor)
{
    struct child child;
    int r;

    /* Only its end is of interest: whatever it says is an answer, and read elsewhere. */
    r = sd_event_add_io(keep->setup.event, &keep->spawner, spawner_fd(keep->setup.spawner), 0,
                        on_spawner, keep);
    if (r >= 0 && keep->setup.hostside)
        r = sd_event_add_io(keep->setup.event, &keep->hostside, hostside_fd(keep->setup.hostside),
                            0, on_hostside, keep);
    if (r < 0)
        return r;
    stopped_watch(&keep->stopped, keep->setup.event, "spawner", spawner_child(keep->setup.spawner));
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
    sd_event_source_disable_unref(keep->spawner);
    sd_event_source_disable_unref(keep->hostside);
    stopped_forget(&keep->stopped);
    supervise_leave(&keep->anchor);
    free(keep);
}
