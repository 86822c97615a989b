/* SPDX-License-Identifier: Apache-2.0 */
#include "listeners.h"
#include "clock.h"
#include "fd.h"
#include "log.h"
#include "mem.h"
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>

#define BURST      4u               /* accepted in one turn of the loop: 20 us */
#define PAUSE_USEC UINT64_C(100000) /* until we accept again */

struct listener {
    TAILQ_ENTRY(listener) link;
    struct listeners *all;
    int fd;
    sd_event_source *io;
};

struct listeners {
    sd_event *event;
    listeners_accepted accepted;
    void *arg;
    TAILQ_HEAD(, listener) list;
    sd_event_source *pause;    /* ends one */
    bool paused, short_of_fds; /* the latter is said once */
    struct time_share time;
    bool late; /* as connections can be: share.h */
};

/* ---- pauses ---- */

static void listen_all(struct listeners *all, bool on)
{
    struct listener *listener;
    all->paused = !on;
    TAILQ_FOREACH (listener, &all->list, link)
        (void)sd_event_source_set_enabled(listener->io, on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source;
    (void)usec;
    listen_all(arg, true);
    return 0;
}

static void pause_accepting(struct listeners *all, int err)
{
    if (!all->short_of_fds)
        (void)log_failure(err, "cannot accept clients for the moment");
    all->short_of_fds = true;
    if (sd_event_source_set_time_relative(all->pause, PAUSE_USEC) >= 0 &&
        sd_event_source_set_enabled(all->pause, SD_EVENT_ONESHOT) >= 0)
        listen_all(all, false);
}

/* Without this a queue of those who have gone again would be worked off one a pause. */
void listeners_go_on(struct listeners *all)
{
    if (!all->paused)
        return;
    (void)sd_event_source_set_enabled(all->pause, SD_EVENT_OFF);
    listen_all(all, true);
}

/* ---- accepting ---- */

/* The groups of the process that connected, as they were then. 0 or a negative errno. */
static int peer_groups(int fd, gid_t **ret, unsigned *n)
{
    gid_t *groups = NULL;
    socklen_t len = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) < 0 && errno != ERANGE)
        return -errno;
    if (len > 0 && !(groups = malloc(len)))
        return -ENOMEM;
    if (len > 0 && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0) {
        free(groups);
        return -errno;
    }
    *ret = groups;
    *n = (unsigned)(len / sizeof *groups);
    return 0;
}

/* 1: one came in; 0: the one who waited has gone; -EAGAIN: nobody waits; another negative errno:
 * we cannot accept now. */
static int accept_one(struct listener *listener)
{
    AUTO_FD fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) /* not these: the one who waited has gone */
        return errno == ECONNABORTED || errno == EINTR || errno == EPERM ? 0 : -errno;

    struct ucred ucred;
    socklen_t len = sizeof ucred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &len) < 0)
        return 0;
    AUTO_FREE gid_t *groups = NULL;
    unsigned n_groups = 0;
    if (peer_groups(fd, &groups, &n_groups) < 0)
        return 0;
    struct peer_cred cred = {
        .uid = ucred.uid, .gid = ucred.gid, .pid = ucred.pid, .groups = groups, .n_groups = n_groups
    };
    listener->all->accepted(listener->all->arg, fd_take(&fd), &cred);
    return 1;
}

/* In a flood of connections those that are there already come first. */
static bool must_wait(struct listeners *all, uint64_t now)
{
    bool late = time_share_is_used_up(&all->time, now);
    struct listener *listener;

    if (late == all->late)
        return false;
    TAILQ_FOREACH (listener, &all->list, link)
        (void)sd_event_source_set_priority(listener->io,
                                           late ? PRIORITY_LATE : SD_EVENT_PRIORITY_NORMAL);
    all->late = late;
    return late;
}

static int on_listener(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
    struct listener *listener = arg;
    struct listeners *all = listener->all;
    uint64_t began = monotonic_usec();
    (void)source;
    (void)fd;
    (void)revents;

    if (must_wait(all, began))
        return 0;
    int r = 0;
    for (unsigned i = 0; i < BURST && r >= 0; i++)
        r = accept_one(listener);
    if (r == -EAGAIN)
        all->short_of_fds = false; /* everybody is in */
    else if (r < 0)
        pause_accepting(all, r);
    time_share_spend(&all->time, began, monotonic_usec());
    return 0;
}

/* ---- the listeners as objects ---- */

int listeners_add(struct listeners *all, int fd)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return -ENOMEM;
    listener->all = all;
    int flags = fcntl(fd, F_GETFL);
    int r = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
    if (r == 0)
        r = sd_event_add_io(all->event, &listener->io, fd, EPOLLIN, on_listener, listener);
    if (r < 0) {
        free(listener);
        return r;
    }
    listener->fd = fd;
    TAILQ_INSERT_TAIL(&all->list, listener, link);
    return 0;
}

static void listener_free(struct listener *listener)
{
    TAILQ_REMOVE(&listener->all->list, listener, link);
    sd_event_source_disable_unref(listener->io);
    fd_closep(&listener->fd);
    free(listener);
}

/* A Unix socket that was shut down refuses connections, and gives out those that it had. */
bool listeners_shut(struct listeners *all)
{
    struct listener *listener;
    bool any = false;
    int r;

    TAILQ_FOREACH (listener, &all->list, link) {
        (void)shutdown(listener->fd, SHUT_RDWR);
        while ((r = accept_one(listener)) >= 0)
            any |= r > 0;
        (void)sd_event_source_set_enabled(listener->io, SD_EVENT_OFF); /* or it would spin */
    }
    return any;
}

void listeners_close(struct listeners *all)
{
    while (!TAILQ_EMPTY(&all->list))
        listener_free(TAILQ_FIRST(&all->list));
}

int listeners_new(sd_event *event, listeners_accepted accepted, void *arg, struct listeners **ret)
{
    struct listeners *all = calloc(1, sizeof *all);
    if (!all)
        return -ENOMEM;
    all->event = event;
    all->accepted = accepted;
    all->arg = arg;
    TAILQ_INIT(&all->list);
    int r = sd_event_add_time(event, &all->pause, CLOCK_MONOTONIC, 0, 0, on_pause_over, all);
    if (r >= 0)
        r = sd_event_source_set_enabled(all->pause, SD_EVENT_OFF);
    if (r < 0) {
        listeners_free(all);
        return r;
    }
    *ret = all;
    return 0;
}

void listeners_free(struct listeners *all)
{
    if (!all)
        return;
    listeners_close(all);
    sd_event_source_disable_unref(all->pause);
    free(all);
}
