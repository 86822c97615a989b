/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - vmnet-netd, the privileged helper: the order in which it becomes itself, and its end.
 *
 * What belongs to the host's namespace comes first (start_outside.c). Then it enters the anchor's
 * namespaces, keeps three capabilities over them, and serves (start_inside.c). Nobody's message is
 * read before that.
 */
#include "netd.h"

#include "anchor.h"
#include "background.h"
#include "fd.h"
#include "log.h"
#include "log_file.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

/* ---- the end -------------------------------------------------------------------------- */

/* Everything has been removed but what we are made of, and what the journal keeps for the next
 * netd. Harmless on a half-made one. */
static void end(struct netd *nd, bool keep_journal)
{
    life_free(nd->life);
    server_free(nd->server);
    nd->ops = (struct ops_context){ 0 }; /* the uplink still says that it stops */
    networks_free(nd->networks);
    forwards_free(nd->forwards);
    uplinks_free(nd->uplinks);
    nft_free(nd->nft);
    link_close(nd->links);
    keep_free(nd->keep);
    if (nd->spawner && nd->options.system)
        (void)spawner_unname(nd->spawner);
    spawner_free(nd->spawner);
    hostside_free(nd->hostside);
    journal_free(nd->journal, !keep_journal);
    anchor_end(&nd->anchor);
    journal_state_free(nd->old);
    nd->event = sd_event_unref(nd->event);
    fd_closep(&nd->leash);
    fd_closep(&nd->forwarder);
    fd_closep(&nd->listening);
    uplinks_close_host_routes(nd->host_routes);
    place_close(&nd->place);
}

/* A start that failed leaves a living namespace and its journal to the next try. One of our
 * own ends with us. */
static void give_up(struct netd *nd)
{
    if (nd->networks)
        networks_leave(nd->networks);
    if (nd->leash >= 0)
        journal_free(nd->journal, true);
    log_error("vmnet-netd ends");
}

static void set_up_signals(void)
{
    /* Anchor and spawner: nobody waits for them to end, and keep.c hears when they are stopped. */
    const struct sigaction children = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };
    sigset_t set;

    (void)sigaction(SIGCHLD, &children, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Returns the exit status. ready: from background_detach(), or -1. */
static int run(struct netd *nd, int ready)
{
    struct netd_why why = { 0 };
    int r;

    set_up_signals();
    nd->passed = nd->options.system && sd_listen_fds(1) == 1;
    r = place_lock(&nd->place, nd->passed, &why);
    if (r == 1) {
        log_info("another vmnet-netd serves already");
        if (ready >= 0)
            background_ready(ready);
        return 0;
    }
    if (r == 0)
        r = netd_start_outside(nd, &why);
    if (r == 0)
        r = netd_start_inside(nd, &why);
    if (r < 0) {
        log_error("cannot start: %s", why.why);
        if (ready >= 0)
            background_failed(ready, why.why);
        give_up(nd);
        return 1;
    }
    if (ready >= 0)
        background_ready(ready);
    (void)sd_notify(0, "READY=1");
    log_info("serving on %s, namespaces of process %d", nd->place.socket_path, (int)nd->anchor.pid);
    r = sd_event_loop(nd->event);
    if (r == LIFE_ADOPT)
        _exit(0); /* taking our structs apart would take apart what they stand for */
    if (r == LIFE_CLEAN || r == LIFE_UNFINISHED)
        end(nd, r == LIFE_UNFINISHED);
    return r < 0 || r == LIFE_UNFINISHED ? 1 : 0; /* who minds it starts another one */
}

/* Descriptors do not survive this, so the directories are opened twice: first so that
 * what is wrong with them is said to whoever started us. */
static int go_to_background(struct netd *nd, int *ret_ready)
{
    struct netd_why why = { 0 };
    AUTO_FD log = place_open_log(&nd->place);
    int r;

    r = background_detach(log, -1, ret_ready);
    if (r < 0) {
        fprintf(stderr, "vmnet-netd: cannot run in the background: %s\n", strerror(-r));
        return r;
    }
    log_file_begin();
    nd->place.state_dirfd = nd->place.dirfd = -1;
    r = place_open(&nd->place, &why);
    if (r < 0)
        background_failed(*ret_ready, why.why);
    return r;
}

int main(int argc, char **argv)
{
    struct netd nd = {
        .place = { .state_dirfd = -1, .dirfd = -1, .lock = -1 },
        .listening = -1,
        .host_routes = { [0 ... UPLINKS_MAX - 1] = -1 },
        .leash = -1,
        .forwarder = -1,
    };
    struct netd_why why = { 0 };
    int ready = -1;
    int r;

    r = options_parse(argc, argv, &nd.options);
    if (r != 0)
        return r < 0 ? 2 : 0;
    log_init("vmnet-netd", nd.options.level);
    (void)umask(077);
    r = place_choose(&nd.place, &nd.options, &why);
    if (r == 0)
        r = place_open(&nd.place, &why);
    if (r < 0) {
        fprintf(stderr, "vmnet-netd: %s\n", why.why);
        return 1;
    }
    if (nd.options.background) {
        r = go_to_background(&nd, &ready);
        if (r < 0)
            return 1;
    }
    return run(&nd, ready);
}
