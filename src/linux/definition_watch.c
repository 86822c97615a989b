/* SPDX-License-Identifier: Apache-2.0 */
/* definition_watch.c - see definition_watch.h.
 *
 * Each directory has one inotify watch: on itself, or, where it does not exist, on the
 * nearest one above it that does. Which of the two may have changed with every event, so
 * after each burst the watches are made anew; that is cheap and needs no cases.
 */
#include "definition_watch.h"

#include "log.h"
#include "str.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>

/* An editor writes a file in several steps, a program many files: wait for the end of it, but
 * not for the end of a program that never stops writing. */
#define BURST_USEC UINT64_C(100000)

#define EVENTS                                                                                     \
    (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct definition_watch {
    sd_event *event;
    const struct def_dirs *dirs;
    void (*changed)(void *arg);
    void *arg;
    sd_event_source *watched[DEF_DIRS_MAX];
    sd_event_source *burst;
    bool waiting; /* for the burst's end */
};

static int on_event(sd_event_source *source, const struct inotify_event *event, void *arg)
{
    struct definition_watch *watch = arg;
    (void)source;

    if (watch->waiting || event->mask & IN_IGNORED)
        return 0;
    watch->waiting = true;
    (void)sd_event_source_set_time_relative(watch->burst, BURST_USEC);
    (void)sd_event_source_set_enabled(watch->burst, SD_EVENT_ONESHOT);
    return 0;
}

/* The directory or the nearest above it. Negative: none can be watched. */
static int watch_nearest(struct definition_watch *watch, const char *dir, sd_event_source **ret)
{
    char path[PATH_MAX];
    int r = str_copy(path, sizeof path, dir);

    while (r == 0) {
        r = sd_event_add_inotify(watch->event, ret, path, EVENTS, on_event, watch);
        char *slash = strrchr(path, '/');
        if (r != -ENOENT || !slash || strcmp(path, "/") == 0)
            return r;
        slash[slash == path ? 1 : 0] = '\0';
        r = 0;
    }
    return r;
}

static void watch_all(struct definition_watch *watch)
{
    for (size_t i = 0; i < watch->dirs->n; i++) {
        sd_event_source *before = watch->watched[i];
        watch->watched[i] = NULL;
        int r = watch_nearest(watch, watch->dirs->paths[i], &watch->watched[i]);
        if (r < 0)
            log_warning("%s cannot be watched: changes there count when a network is acquired: %s",
                        watch->dirs->paths[i], strerror(-r));
        sd_event_source_disable_unref(before);
    }
}

static int on_burst_over(sd_event_source *source, uint64_t usec, void *arg)
{
    struct definition_watch *watch = arg;
    (void)source;
    (void)usec;
    watch->waiting = false;
    watch_all(watch);
    watch->changed(watch->arg);
    return 0;
}

int definition_watch_new(sd_event *event, const struct def_dirs *dirs, void (*changed)(void *arg),
                         void *arg, struct definition_watch **ret)
{
    struct definition_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return -ENOMEM;
    watch->event = event;
    watch->dirs = dirs;
    watch->changed = changed;
    watch->arg = arg;
    int r = sd_event_add_time_relative(event, &watch->burst, CLOCK_MONOTONIC, 0, 0, on_burst_over,
                                       watch);
    if (r >= 0)
        r = sd_event_source_set_enabled(watch->burst, SD_EVENT_OFF);
    if (r < 0) {
        definition_watch_free(watch);
        return r;
    }
    watch_all(watch);
    *ret = watch;
    return 0;
}

void definition_watch_free(struct definition_watch *watch)
{
    if (!watch)
        return;
    for (size_t i = 0; i < DEF_DIRS_MAX; i++)
        sd_event_source_disable_unref(watch->watched[i]);
    sd_event_source_disable_unref(watch->burst);
    free(watch);
}
