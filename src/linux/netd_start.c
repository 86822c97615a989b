/* SPDX-License-Identifier: Apache-2.0 */
#include "netd_start.h"

#include "clock.h"
#include "fd.h"
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PROGRAM      "vmnet-netd"
/* The starter gives up before that, unless it hangs itself. */
#define TIMEOUT_USEC ((NETD_START_TIMEOUT_MSEC + 2000) * UINT64_C(1000))

struct netd_start {
    sd_event *event;
    const struct netd_start_config *config;
    netd_started started;
    void *arg;
    struct failure failure; /* err 0: none yet */
    int attempt;            /* the starter's number for it */
    sd_event_source *source, *timer;
};

/* ---- connecting -------------------------------------------------------------------- */

static int check_owner(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    return cred.uid == 0 || cred.uid == geteuid() ? 0 : -EPERM;
}

int netd_connect(const struct paths *paths)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int r = paths_netd_socket(paths, addr.sun_path, sizeof addr.sun_path);
    if (r < 0)
        return r;
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) < 0)
        return -errno;
    r = check_owner(fd);
    return r < 0 ? r : fd_take(&fd);
}

/* ---- the end of an attempt --------------------------------------------------------- */

static void start_free(struct netd_start *start)
{
    (void)sd_event_source_disable_unref(start->source);
    (void)sd_event_source_disable_unref(start->timer);
    free(start);
}

/* Frees the attempt first: whoever is told may begin the next one. */
static void finish(struct netd_start *start, int fd)
{
    netd_started started = start->started;
    void *arg = start->arg;
    struct failure failure = start->failure;
    start_free(start);
    started(arg, failure.err < 0 ? &failure : NULL, fd);
}

static void finish_connecting(struct netd_start *start)
{
    int fd = netd_connect(&start->config->paths);
    if (fd < 0)
        (void)failure_set(&start->failure, -ENETDOWN, "cannot connect to " PROGRAM " in %s: %s%s",
                          start->config->paths.netd, strerror(-fd),
                          start->config->system ? "; try: systemctl start vmnet-netd.socket, or "
                                                  "start vmnet-broker --system again"
                                                : "");
    finish(start, fd);
}

/* ---- the starter ------------------------------------------------------------------- */

static void fail(struct netd_start *start, int err, const char *what)
{
    (void)failure_set(&start->failure, -ENETDOWN, "cannot start " PROGRAM ": %s: %s", what,
                      strerror(-err));
    finish(start, -1);
}

/* Somebody has killed or stopped it, and a confined broker can make no other. So it ends, as if
 * it had been killed itself: the next client starts the next one, which finds all that lives.
 * Who waits for this attempt loses its connection, which the library takes for a reason to ask
 * the next one. */
static void make_way(struct netd_start *start, const char *what)
{
    log_error("the process that starts " PROGRAM " %s; so we go, and the next broker starts it",
              what);
    (void)sd_event_exit(start->event, 1);
}

/* Also answers of attempts that were canceled come this way. -EPIPE: the starter has gone. */
static int take_answer(struct netd_start *start)
{
    struct failure failure;
    int attempt = netd_starter_answer(start->config->starter, &failure);

    if (attempt == -EPIPE)
        return attempt;
    if (attempt == start->attempt) {
        start->failure = failure;
        if (failure.err < 0)
            finish(start, -1);
        else
            finish_connecting(start);
    }
    return 0;
}

static int on_answer(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
    struct netd_start *start = arg;

    (void)source, (void)fd, (void)revents;
    if (take_answer(start) < 0)
        make_way(start, "has gone");
    return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source, (void)usec;
    make_way(arg, "does not answer");
    return 0;
}

static void start_program(struct netd_start *start)
{
    struct netd_starter *starter = start->config->starter;
    int r = start->attempt = netd_starter_ask(starter);

    if (r == -EPIPE) {
        make_way(start, "has gone");
        return;
    }
    if (r >= 0)
        r = sd_event_add_io(start->event, &start->source, netd_starter_fd(starter), EPOLLIN,
                            on_answer, start);
    if (r >= 0)
        r = sd_event_add_time_relative(start->event, &start->timer, CLOCK_MONOTONIC, TIMEOUT_USEC,
                                       0, on_timeout, start);
    if (r < 0)
        fail(start, r, "no answer can be had");
}

static int on_begin(sd_event_source *source, void *arg)
{
    struct netd_start *start = arg;

    (void)source;
    start->source = sd_event_source_disable_unref(start->source);
    int fd = netd_connect(&start->config->paths);
    if (fd >= 0)
        finish(start, fd);
    else if (start->config->system || (fd != -ENOENT && fd != -ECONNREFUSED))
        finish_connecting(start); /* for the words of the same error */
    else
        start_program(start);
    return 0;
}

int netd_start_begin(sd_event *event, const struct netd_start_config *config, netd_started started,
                     void *arg, struct netd_start **ret)
{
    struct netd_start *start = calloc(1, sizeof *start);
    if (!start)
        return -ENOMEM;
    start->event = event;
    start->config = config;
    start->started = started;
    start->arg = arg;
    int r = sd_event_add_defer(event, &start->source, on_begin, start);
    if (r < 0) {
        start_free(start);
        return r;
    }
    *ret = start;
    return 0;
}

int netd_start_turn(struct netd_start *start, uint64_t deadline_usec)
{
    if (!start->timer)
        return -EAGAIN;
    struct pollfd p = { .fd = netd_starter_fd(start->config->starter), .events = POLLIN };
    int n = poll(&p, 1, msec_until(deadline_usec));
    if (n == 0 || (n < 0 && errno != EINTR))
        return -ETIMEDOUT;
    return n > 0 ? take_answer(start) : 0;
}

void netd_start_cancel(struct netd_start *start)
{
    if (start)
        start_free(start);
}
