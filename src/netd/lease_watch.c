/* SPDX-License-Identifier: Apache-2.0 */
/* lease_watch.c - see lease_watch.h.
 *
 * dnsmasq writes the whole file anew for each change, in place; so after a write we wait until
 * it is quiet, read it, and compare.
 */
#include "lease_watch.h"

#include "mem.h"

#include <errno.h>
#include <sys/inotify.h>
#include <time.h>

#define QUIET_USEC UINT64_C(20000)

struct lease_watch {
    int dirfd;
    lease_changed changed;
    void *arg;
    struct leases known;
    sd_event_source *io, *quiet;
};

static bool same(const struct lease *a, const struct lease *b)
{
    return mac_equal(a->mac, b->mac) && a->expires == b->expires;
}

static void compare(struct lease_watch *watch, const struct leases *now)
{
    for (size_t i = 0; i < watch->known.n; i++)
        if (!leases_find(now, watch->known.list[i].ipv4))
            watch->changed(watch->arg, &watch->known.list[i], true);
    for (size_t i = 0; i < now->n; i++) {
        const struct lease *before = leases_find(&watch->known, now->list[i].ipv4);
        if (!before || !same(before, &now->list[i]))
            watch->changed(watch->arg, &now->list[i], false);
    }
}

static int on_quiet(sd_event_source *source, uint64_t usec, void *arg)
{
    struct lease_watch *watch = arg;
    struct leases now = { 0 };

    (void)source, (void)usec;
    leases_read(watch->dirfd, &now);
    compare(watch, &now);
    leases_clear(&watch->known);
    watch->known = now;
    return 0;
}

static int on_written(sd_event_source *source, const struct inotify_event *event, void *arg)
{
    struct lease_watch *watch = arg;

    (void)source, (void)event;
    (void)sd_event_source_set_time_relative(watch->quiet, QUIET_USEC);
    (void)sd_event_source_set_enabled(watch->quiet, SD_EVENT_ONESHOT);
    return 0;
}

int lease_watch_new(sd_event *event, const char *path, int dirfd, lease_changed changed, void *arg,
                    struct lease_watch **ret)
{
    struct lease_watch *watch = calloc(1, sizeof *watch);
    int r;

    if (!watch)
        return -ENOMEM;
    watch->dirfd = dirfd;
    watch->changed = changed;
    watch->arg = arg;
    r = sd_event_add_inotify(event, &watch->io, path, IN_MODIFY | IN_CLOSE_WRITE | IN_ONLYDIR,
                             on_written, watch);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &watch->quiet, CLOCK_MONOTONIC, 0, 0, on_quiet,
                                       watch);
    if (r >= 0)
        r = sd_event_source_set_enabled(watch->quiet, SD_EVENT_OFF);
    if (r < 0) {
        lease_watch_free(watch);
        return r;
    }
    leases_read(dirfd, &watch->known);
    *ret = watch;
    return 0;
}

void lease_watch_free(struct lease_watch *watch)
{
    if (!watch)
        return;
    sd_event_source_disable_unref(watch->io);
    sd_event_source_disable_unref(watch->quiet);
    leases_clear(&watch->known);
    free(watch);
}

void lease_watch_tell_all(const struct lease_watch *watch)
{
    for (size_t i = 0; watch && i < watch->known.n; i++)
        watch->changed(watch->arg, &watch->known.list[i], false);
}
