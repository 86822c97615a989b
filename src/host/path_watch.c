/* SPDX-License-Identifier: Apache-2.0 */
/* path_watch.c - see path_watch.h.
 *
 * Three things can take a file from its path: it is unlinked or renamed itself, a directory above
 * it is renamed, or a file system is mounted over one of them or taken away. inotify tells the
 * first two, if it watches the file and every directory above it, for what happens to these
 * themselves: nobody else's files in the same directories wake us. It does not tell the third
 * where it matters: a socket that is bound keeps its file system, so that a logout takes away but
 * the mount. That is a change of the mount table, which poll() tells.
 *
 * What has happened is not asked: we look, and watch again what is there then.
 */
#include "path_watch.h"

#include "fd.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#define SOON_USEC  500000u /* clients try for longer to start another broker */
#define AGAIN_USEC 2000000u
#define WATCHED    128 /* of a path and of where its links lead, 54 names each in a socket's */

struct path_watch {
    sd_event *event;
    char path[PATH_MAX];
    path_gone gone;
    void *arg;
    sd_event_source *watched[WATCHED];
    size_t n;
    int mounts_fd;
    sd_event_source *mounts, *again;
    bool blind; /* nobody tells us: we look now and then */
    bool lost;  /* it is to be made anew, even if something is there */
};

/* ---- what tells us -------------------------------------------------------------------- */

static void arm(const struct path_watch *watch, uint64_t usec)
{
    (void)sd_event_source_set_time_relative(watch->again, usec);
    (void)sd_event_source_set_enabled(watch->again, SD_EVENT_ONESHOT);
}

/* Not at once: who removes a directory would find it in use again before he has done. */
static void look_soon(const struct path_watch *watch)
{
    int enabled = SD_EVENT_OFF;

    (void)sd_event_source_get_enabled(watch->again, &enabled);
    if (enabled == SD_EVENT_OFF)
        arm(watch, SOON_USEC);
}

static int on_event(sd_event_source *source, const struct inotify_event *event, void *arg)
{
    (void)source;
    (void)event;
    look_soon(arg);
    return 0;
}

static int on_mounts(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    (void)source;
    (void)fd;
    (void)events;
    look_soon(arg);
    return 0;
}

static int watch_one(struct path_watch *watch, const char *path, uint32_t events)
{
    if (watch->n == WATCHED)
        return -ENOSPC;
    int r = sd_event_add_inotify(watch->event, &watch->watched[watch->n], path,
                                 events | IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW, on_event,
                                 watch);
    if (r >= 0)
        watch->n++;
    /* What is not there any more, the next look finds. What we may not read, such as a directory
     * that only lets pass, is not watched: who has made it so does not rename it every day. */
    return r == -ENOENT || r == -ENOTDIR || r == -EACCES ? 0 : r;
}

/* An unlinked file that somebody has open changes its attributes: it has a name less. */
static int watch_chain(struct path_watch *watch, const char *path)
{
    char here[PATH_MAX];
    uint32_t events = IN_ATTRIB;
    int r = str_copy(here, sizeof here, path);

    while (r >= 0 && here[0] && strcmp(here, "/") != 0) {
        r = watch_one(watch, here, events);
        events = 0;
        char *slash = strrchr(here, '/');
        *(slash ? slash : here) = '\0';
    }
    return r;
}

static int watch_all(struct path_watch *watch)
{
    AUTO_FREE char *real = realpath(watch->path, NULL);
    int r = watch_chain(watch, watch->path);

    if (r >= 0 && real && strcmp(real, watch->path) != 0)
        r = watch_chain(watch, real);
    return r;
}

static void watch_nothing(struct path_watch *watch)
{
    while (watch->n > 0)
        sd_event_source_disable_unref(watch->watched[--watch->n]);
}

/* ---- looking --------------------------------------------------------------------------- */

static bool is_there(const struct path_watch *watch)
{
    struct stat st;
    return lstat(watch->path, &st) == 0 || errno != ENOENT;
}

static void cannot_watch(struct path_watch *watch, int err)
{
    if (!watch->blind)
        (void)log_failure(err, "%s cannot be watched, and is looked for every two seconds",
                          watch->path);
    watch->blind = true;
}

/* The old watches go first: what is made anew may well get the number of an inode that was freed,
 * which sd-event would take for the same. */
static void look(struct path_watch *watch)
{
    watch_nothing(watch);
    if (watch->lost || !is_there(watch))
        watch->lost = watch->gone(watch->arg) < 0;
    int r = watch_all(watch);

    if (r < 0)
        cannot_watch(watch, r);
    if (watch->lost || watch->blind ||
        !is_there(watch)) /* it may have gone before it was watched */
        arm(watch, AGAIN_USEC);
}

static int on_time(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source;
    (void)usec;
    look(arg);
    return 0;
}

/* ---- life ------------------------------------------------------------------------------ */

static int watch_mounts(struct path_watch *watch)
{
    watch->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (watch->mounts_fd < 0)
        return -errno;
    return sd_event_add_io(watch->event, &watch->mounts, watch->mounts_fd, EPOLLPRI, on_mounts,
                           watch);
}

int path_watch_new(sd_event *event, const char *path, path_gone gone, void *arg,
                   struct path_watch **ret)
{
    struct path_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return -ENOMEM;
    watch->event = event;
    watch->gone = gone;
    watch->arg = arg;
    watch->mounts_fd = -1;
    int r = str_copy(watch->path, sizeof watch->path, path);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &watch->again, CLOCK_MONOTONIC, 0, SOON_USEC / 4,
                                       on_time, watch);
    if (r < 0) {
        path_watch_free(watch);
        return r;
    }
    r = watch_mounts(watch);
    if (r < 0)
        cannot_watch(watch, r);
    *ret = watch;
    return 0;
}

void path_watch_lost(struct path_watch *watch)
{
    watch->lost = true;
    arm(watch, AGAIN_USEC);
}

void path_watch_free(struct path_watch *watch)
{
    if (!watch)
        return;
    watch_nothing(watch);
    sd_event_source_disable_unref(watch->mounts);
    sd_event_source_disable_unref(watch->again);
    fd_closep(&watch->mounts_fd);
    free(watch);
}
