/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - the socket, and who may connect to it; server_part.h lists the rooms.
 *
 * Access is the file system's: the socket is 0600 in a directory of ours. The
 * partner's credentials are looked at all the same, since root can connect anywhere,
 * and a root that means this netd is a mistake.
 *
 * A logout may remove the runtime directory under us, while VMs go on and the session of
 * the broker, too. The next broker must find us: so we hear of that, and bind anew.
 */
#include "server_part.h"

#include "fd.h"
#include "file.h"
#include "log.h"
#include "mem.h"
#include "path_watch.h"
#include "str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define SESSIONS_MAX 8u       /* one broker, and those that have not said hello */
#define PAUSE_USEC   2000000u /* without a free descriptor; a broker waits longer */

/* ---- who connects ------------------------------------------------------------------ */

/* Whose it is: our own user's. Seen from the namespace every other one is "nobody", so where it
 * should be another one's, somebody outside has to look. */
static int check_peer(const struct server *server, int fd, pid_t *ret_pid)
{
    struct ucred cred;
    socklen_t len = sizeof cred;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    *ret_pid = cred.pid;
    if (server->events.admit)
        return server->events.admit(server->events.arg, fd);
    return cred.uid == getuid() ? 0 : -EPERM;
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *arg)
{
    const struct server *server = arg;

    (void)source;
    (void)usec;
    return sd_event_source_set_enabled(server->source, SD_EVENT_ON);
}

/* Who waits would wake us without end. */
static void pause_listening(const struct server *server)
{
    (void)sd_event_source_set_enabled(server->source, SD_EVENT_OFF);
    (void)sd_event_source_set_time_relative(server->pause, PAUSE_USEC);
    (void)sd_event_source_set_enabled(server->pause, SD_EVENT_ONESHOT);
}

static int on_connection(sd_event_source *source, int listening, uint32_t events, void *arg)
{
    struct server *server = arg;
    AUTO_FD fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    pid_t pid = 0;
    int r;

    (void)source;
    (void)events;
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            pause_listening(server);
        return 0;
    }
    r = check_peer(server, fd, &pid);
    if (r == 0)
        r = server->n_sessions >= SESSIONS_MAX ? -EUSERS : session_new(server, fd, pid);
    if (r < 0)
        (void)log_failure(r, "[broker %d] connection refused", (int)pid);
    else
        (void)fd_take(&fd);
    return 0;
}

struct session *server_broker(struct server *server)
{
    char byte;

    /* A broker that has just died holds nothing any more: its successor, which has
     * got the lock, may be here before we hear of the end. */
    if (server->broker && (server->broker->broken ||
                           recv(server->broker->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0))
        return NULL;
    return server->broker;
}

/* ---- the socket -------------------------------------------------------------------- */

int server_listen(const char *path)
{
    struct sockaddr_un here = { .sun_family = AF_UNIX };
    char directory[sizeof here.sun_path];
    AUTO_FD fd = -1, made = -1;
    int r;

    r = str_copy(here.sun_path, sizeof here.sun_path, path);
    if (r < 0)
        return r;
    (void)str_format(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    made = dir_open_private(directory);
    if (made < 0)
        return made;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* We hold the lock, so whoever bound it is dead. */
    (void)unlink(path);
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0 || chmod(path, 0600) < 0 ||
        listen(fd, 16) < 0)
        return -errno;
    return fd_take(&fd);
}

int server_unlisten(const char *path)
{
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int take_new_socket(struct server *server, int fd)
{
    sd_event_source *source = NULL;
    int r = sd_event_add_io(server->event, &source, fd, EPOLLIN, on_connection, server);

    if (r < 0)
        return r;
    sd_event_source_disable_unref(server->source);
    fd_closep(&server->fd);
    server->source = source;
    server->fd = fd;
    return 0;
}

static int listen_again(void *arg)
{
    struct server *server = arg;
    AUTO_FD fd = server->events.listen(server->events.arg);
    int r = fd < 0 ? fd : take_new_socket(server, fd);

    if (r < 0) {
        log_debug("%s has vanished and cannot be made anew: %s", server->path, strerror(-r));
        return r;
    }
    (void)fd_take(&fd);
    log_info("%s had vanished, and was made anew", server->path);
    return 0;
}

static int add_sources(struct server *server, int fd)
{
    int r = sd_event_add_io(server->event, &server->source, fd, EPOLLIN, on_connection, server);

    if (r >= 0)
        r = sd_event_add_time(server->event, &server->pause, CLOCK_MONOTONIC, 0, 0, on_pause_over,
                              server);
    if (r >= 0)
        r = sd_event_source_set_enabled(server->pause, SD_EVENT_OFF);
    if (r >= 0 && server->path)
        r = path_watch_new(server->event, server->path, listen_again, server, &server->watch);
    return r;
}

static void forget_sources(struct server *server)
{
    path_watch_free(server->watch);
    sd_event_source_disable_unref(server->source);
    sd_event_source_disable_unref(server->pause);
}

int server_new(sd_event *event, int fd, const char *path, const struct server_events *events,
               struct server **ret)
{
    struct server *server = calloc(1, sizeof *server);
    int r;

    if (!server)
        return -ENOMEM;
    server->event = event;
    server->path = path;
    server->events = *events;
    r = add_sources(server, fd);
    if (r < 0) {
        forget_sources(server);
        free(server);
        return r;
    }
    server->fd = fd;
    *ret = server;
    return 0;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    while (server->sessions)
        session_free(server->sessions);
    forget_sources(server);
    if (server->path)
        server->events.unlisten(server->events.arg);
    fd_closep(&server->fd);
    free(server);
}
