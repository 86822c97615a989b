/* SPDX-License-Identifier: Apache-2.0 */
/* uplinks.c - see uplinks.h. */
#include "uplinks.h"

#include "fd.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>

struct uplinks {
    struct uplink_setup setup;
    uplink_child_changed child_watch;
    void *child_watch_arg;
    int host_routes[UPLINKS_MAX]; /* -1: the uplink has it */
    struct uplink *at[UPLINKS_MAX];
};

void uplinks_close_host_routes(int fds[static UPLINKS_MAX])
{
    for (unsigned slot = 0; slot < UPLINKS_MAX; slot++)
        fd_closep(&fds[slot]);
}

int uplinks_open_host_routes(int ret[static UPLINKS_MAX])
{
    for (unsigned slot = 0; slot < UPLINKS_MAX; slot++)
        ret[slot] = -1;
    for (unsigned slot = 0; slot < UPLINKS_MAX; slot++) {
        int fd = uplink_open_host_routes();

        if (fd < 0) {
            uplinks_close_host_routes(ret);
            return fd;
        }
        ret[slot] = fd;
    }
    return 0;
}

int uplinks_new(const struct uplink_setup *setup, int host_routes[static UPLINKS_MAX],
                struct uplinks **ret)
{
    struct uplinks *all = calloc(1, sizeof *all);

    if (!all)
        return -ENOMEM;
    all->setup = *setup;
    for (unsigned slot = 0; slot < UPLINKS_MAX; slot++)
        all->host_routes[slot] = fd_take(&host_routes[slot]);
    *ret = all;
    return 0;
}

void uplinks_free(struct uplinks *all)
{
    if (!all)
        return;
    for (unsigned slot = 0; slot < UPLINKS_MAX; slot++)
        uplink_free(all->at[slot]);
    uplinks_close_host_routes(all->host_routes);
    free(all);
}

void uplinks_set_child_watch(struct uplinks *all, uplink_child_changed child, void *arg)
{
    all->child_watch = child;
    all->child_watch_arg = arg;
    for (unsigned slot = 0; slot < UPLINKS_MAX; slot++)
        if (all->at[slot])
            uplink_set_child_watch(all->at[slot], child, arg);
}

static int make(struct uplinks *all, unsigned slot)
{
    int r = uplink_new(&all->setup, slot, all->host_routes[slot], &all->at[slot]);

    if (r < 0)
        return log_failure(r, "cannot prepare the uplink '%s'", uplink_link(slot));
    all->host_routes[slot] = -1;
    uplink_set_child_watch(all->at[slot], all->child_watch, all->child_watch_arg);
    return 0;
}

int uplinks_start(struct uplinks *all, unsigned slot, const char *interface)
{
    int r = all->at[slot] ? 0 : make(all, slot);

    return r < 0 ? r : uplink_start(all->at[slot], interface);
}

void uplinks_stop(struct uplinks *all, unsigned slot)
{
    uplink_stop(all->at[slot]);
}

const struct uplink *uplinks_at(const struct uplinks *all, unsigned slot)
{
    return all->at[slot];
}
