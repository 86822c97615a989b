/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - vmnet-broker(8): chooses the ports and wires them to the core.
 *
 * The order matters: the lock before anything is touched, so that there is one broker; who it
 * is, where root starts the system's; the loop, which takes the signals, before the socket, so that
 * whoever ends us as soon as we answer finds no socket left; the socket before the backend, so that
 * clients queue instead of failing; the backend before the transport, so that the networks which a
 * netd already has are known before the first client is heard; and the sandbox last, when all is
 * open and netd's starter is a process of its own. The way down is the way up backwards.
 */
#include "backend_netd.h"
#include "background.h"
#include "broker.h"
#include "config.h"
#include "definition_files.h"
#include "definition_watch.h"
#include "fd.h"
#include "instance.h"
#include "listen.h"
#include "log.h"
#include "log_file.h"
#include "loop_sdevent.h"
#include "mem.h"
#include "options.h"
#include "path_watch.h"
#include "sandbox.h"
#include "start.h"
#include "str.h"
#include "system.h"
#include "transport_varlink.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

/* Somebody who starts us again as we exit must not find the lock taken. */
#define LOCK_WAIT_MSEC 5000

/* Whoever fills the log is a client. */
static struct peer *peer_new(struct broker *broker, const struct peer_cred *cred,
                             struct failure *failure)
{
    log_file_look();
    return broker_peer_new(broker, cred, failure);
}

struct daemon {
    struct options options;
    struct paths paths;
    struct config config;
    struct system_users users;
    char log[PATH_MAX];
    int leash; /* of who starts the system's netd, and names it; -1: systemd does */
    int state_dirfd, lock, ready; /* ready: -1 when nobody waits */
    int sockets[16];              /* listening, until the transport has them */
    unsigned n_sockets;
    struct socket_file file;
    sd_event *event;
    struct loop loop;
    struct path_watch *socket_watch; /* NULL: the socket is not ours to keep */
    struct definition_watch *watch;
    struct verbs verbs;
    struct broker *broker;
    struct transport *transport;
};

/* ---- one step a function: 0, or a negative errno with words ---- */

static bool by_root(const struct daemon *d)
{
    return d->options.system && getuid() == 0;
}

static int prepare_system(struct daemon *d, struct failure *failure)
{
    return by_root(d) ? system_prepare(&d->paths, &d->users, failure) : 0;
}

static int take_lock(struct daemon *d, struct failure *failure)
{
    int holder = 0;
    d->state_dirfd = instance_open_state(&d->paths, failure);
    if (d->state_dirfd < 0)
        return d->state_dirfd;
    d->lock = instance_lock(d->state_dirfd, "broker.lock",
                            d->options.on_demand ? LOCK_WAIT_MSEC : 0, &holder);
    if (d->lock == -EWOULDBLOCK)
        return failure_set(failure, -EWOULDBLOCK,
                           "another broker, process %d, serves state directory %.100s", holder,
                           d->paths.state);
    if (d->lock < 0)
        return failure_set(failure, d->lock, "cannot lock state directory %.100s: %s",
                           d->paths.state, strerror(-d->lock));
    return 0;
}

/* With all that follows root has nothing to do. */
static int begin_system(struct daemon *d, struct failure *failure)
{
    return by_root(d) ? system_begin(&d->options, &d->paths, &d->users, &d->leash, failure) : 0;
}

static int bind_socket(struct daemon *d, struct failure *failure)
{
    char path[PATH_MAX];
    int r = instance_socket(&d->options, &d->paths, path, sizeof path, failure);
    if (r < 0)
        return r;
    int fd = socket_file_bind(path, d->options.system, &d->file, failure);
    if (fd < 0)
        return fd;
    d->sockets[d->n_sockets++] = fd;
    return 0;
}

/* From systemd, or our own. */
static int open_sockets(struct daemon *d, struct failure *failure)
{
    int n = sd_listen_fds(1);
    if (n <= 0)
        return bind_socket(d, failure);
    if (n > (int)N_ELEMENTS(d->sockets))
        return failure_set(failure, -E2BIG, "systemd passed %d sockets", n);
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++) {
        if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) <= 0)
            return failure_set(failure, -EINVAL,
                               "descriptor %d from systemd is no listening Unix stream socket", fd);
        d->sockets[d->n_sockets++] = fd;
    }
    return 0;
}

/* Hands the sockets that were opened since to the transport. */
static int listen_on_sockets(struct daemon *d, struct failure *failure)
{
    for (; d->n_sockets > 0; d->n_sockets--) {
        int r = transport_varlink_listen(d->transport, d->sockets[d->n_sockets - 1]);
        if (r < 0)
            return failure_set(failure, r, "cannot listen: %s", strerror(-r));
    }
    return 0;
}

/* In the place of one that nobody can find, or that refuses everybody. */
static int open_another(struct daemon *d, struct failure *failure)
{
    int r = bind_socket(d, failure);
    if (r < 0)
        return r;
    transport_varlink_unlisten(d->transport);
    return listen_on_sockets(d, failure);
}

/* Before we leave because nobody needs us. Who waits at systemd's socket is the next one's. */
static bool last_call(void *arg)
{
    struct daemon *d = arg;
    struct failure failure;

    if (!d->file.path[0] || !transport_varlink_shut(d->transport))
        return false;
    if (open_another(d, &failure) < 0) {
        log_warning("%s; trying on", failure.why);
        path_watch_lost(d->socket_watch);
    }
    return true;
}

static int make_loop(struct daemon *d, struct failure *failure)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);

    int r = sd_event_new(&d->event);
    if (r >= 0) /* without a handler: the loop ends with 0 */
        r = sd_event_add_signal(d->event, NULL, SIGTERM, NULL, NULL);
    if (r >= 0)
        r = sd_event_add_signal(d->event, NULL, SIGINT, NULL, NULL);
    if (r < 0)
        return failure_set(failure, r, "cannot make an event loop: %s", strerror(-r));
    d->loop = loop_sdevent(d->event);
    return 0;
}

/* A descriptor a client: as many as we may have. We use no select(). */
static unsigned long open_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return 1024; /* the customary soft limit */
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    return files.rlim_cur;
}

static int make_broker(struct daemon *d, struct failure *failure)
{
    struct broker_config config = { .idle_timeout_sec = d->options.idle_timeout_sec,
                                    .exit_when_idle = d->options.on_demand,
                                    .last_call = last_call,
                                    .last_call_arg = d,
                                    .closed = d->options.system,
                                    .owner = d->options.system ? 0 : getuid(),
                                    .definitions =
                                        definition_files(&d->config.dirs, d->config.where),
                                    .limits = policy_limits_for(open_files()) };
    if (d->options.system)
        config.general_policy = policy_file(&d->config.policy, POLICY_FILE);
    d->broker = broker_new(&config, &d->loop, &transport_varlink_ops);
    return d->broker ? 0 : failure_set(failure, -ENOMEM, "not enough memory");
}

static int make_backend(struct daemon *d, struct failure *failure)
{
    struct backend_netd_config config = { .paths = &d->paths,
                                          .system = d->options.system,
                                          .state_dirfd = d->state_dirfd,
                                          .idle_timeout_sec = d->options.idle_timeout_sec };
    struct backend_events events = broker_backend_events(d->broker);
    struct backend backend;
    int r = backend_netd_new(&config, d->event, &events, &backend);
    if (r < 0)
        return failure_set(failure, r, "cannot prepare for networks: %s", strerror(-r));
    broker_set_backend(d->broker, &backend);
    return 0;
}

static void definitions_changed(void *arg)
{
    struct daemon *d = arg;
    broker_definitions_changed(d->broker);
}

/* Only now, for it creates networks. */
static int watch_definitions(struct daemon *d, struct failure *failure)
{
    int r = definition_watch_new(d->event, &d->config.dirs, definitions_changed, d, &d->watch);
    if (r < 0)
        return failure_set(failure, r, "cannot watch definitions: %s", strerror(-r));
    broker_definitions_changed(d->broker);
    return 0;
}

static int make_transport(struct daemon *d, struct failure *failure)
{
    struct transport_about about = { .version = VERSION,
                                     .instance = d->options.system ? "system" : "user",
                                     .state_directory = d->paths.state,
                                     .log = d->log };
    d->verbs = broker_verbs;
    d->verbs.peer_new = peer_new;
    int r = transport_varlink_new(d->event, &d->verbs, d->broker, &about, &d->transport);
    if (r < 0)
        return failure_set(failure, r, "cannot prepare for clients: %s", strerror(-r));
    return listen_on_sockets(d, failure);
}

/* A logout may remove the runtime directory under a broker whose VMs go on. */
static int make_socket_again(void *arg)
{
    struct daemon *d = arg;
    struct failure failure;

    int r = open_another(d, &failure);
    if (r < 0)
        log_debug("clients do not find us: %s", failure.why);
    else
        log_info("%s had vanished, and was made anew", d->file.path);
    return r;
}

static int watch_socket(struct daemon *d, struct failure *failure)
{
    if (!d->file.path[0])
        return 0;
    int r = path_watch_new(d->event, d->file.path, make_socket_again, d, &d->socket_watch);
    return r < 0 ? failure_set(failure, r, "cannot watch %s: %s", d->file.path, strerror(-r)) : 0;
}

static int enter_sandbox(struct daemon *d, struct failure *failure)
{
    int r = broker_sandbox_enter(&d->paths, d->options.system);
    return r < 0 ? failure_set(failure, r, "cannot confine itself: %s", strerror(-r)) : 0;
}

static int set_up(struct daemon *d, struct failure *failure)
{
    static int (*const steps[])(struct daemon *, struct failure *) = {
        prepare_system, take_lock,         begin_system,   make_loop,    open_sockets,  make_broker,
        make_backend,   watch_definitions, make_transport, watch_socket, enter_sandbox,
    };
    for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
        int r = steps[i](d, failure);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A client that comes while we go finds no socket, or loses its connection, and tries again;
 * the lock is the last to go, with the process. */
static void tear_down(struct daemon *d)
{
    path_watch_free(d->socket_watch);
    socket_file_remove(&d->file);
    transport_varlink_free(d->transport);
    definition_watch_free(d->watch);
    broker_free(d->broker);
    sd_event_unref(d->event);
    while (d->n_sockets > 0)
        fd_closep(&d->sockets[--d->n_sockets]);
    fd_closep(&d->state_dirfd);
}

/* ---- the program ---- */

static void be_ready(struct daemon *d)
{
    log_info("vmnet-broker %s is ready, process %d", VERSION, (int)getpid());
    (void)sd_notify(0, "READY=1");
    if (d->ready >= 0)
        background_ready(d->ready);
    d->ready = -1;
}

static int give_up(struct daemon *d, int err, const char *why)
{
    if (d->options.background && d->ready < 0) /* not the daemon: a client reads this */
        fprintf(stderr, "%s\n", why);
    else
        log_error("%s", why);
    if (d->ready >= 0)
        background_failed(d->ready, why);
    return err == -EWOULDBLOCK ? EXIT_LOCKED : EXIT_FAILURE;
}

static void prepare_process(const struct options *options)
{
    log_init("vmnet-broker", options->log_level);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Where `status` says that the log is. */
static void name_log(struct daemon *d)
{
    const char *text = getenv("JOURNAL_STREAM") ? "journal" : "standard error";
    if (d->ready < 0 || str_format(d->log, sizeof d->log, "%s/broker.log", d->paths.state) < 0)
        (void)str_copy(d->log, sizeof d->log, text);
}

int main(int argc, char *argv[])
{
    struct daemon d = { .leash = -1, .state_dirfd = -1, .lock = -1, .ready = -1 };
    struct failure failure = { 0 };
    int code = EXIT_FAILURE;

    if (!options_parse(argc, argv, &d.options, &code))
        return code;
    log_init("vmnet-broker", d.options.log_level);
    int r = instance_paths(&d.options, &d.paths, &failure);
    if (r == 0 && d.options.background)
        r = start_in_background(&d.options, argv, &d.paths, &d.ready, &failure);
    if (r > 0)
        return EXIT_SUCCESS;
    prepare_process(&d.options);
    name_log(&d);
    if (r == 0)
        r = config_init(&d.config, &d.options, &failure);
    if (r == 0)
        r = set_up(&d, &failure);
    if (r < 0) {
        tear_down(&d);
        return give_up(&d, r, failure.why);
    }
    be_ready(&d);
    r = sd_event_loop(d.event);
    log_info("vmnet-broker is exiting");
    (void)sd_notify(0, "STOPPING=1");
    tear_down(&d);
    return r;
}
