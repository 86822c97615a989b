/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - vmnet-netd, the privileged helper: the order in which it becomes itself.
 *
 * What belongs to the host's namespace comes first: lock, socket (in a system instance one that
 * was passed to us), the host's routes, the anchor, the spawner. Then it enters the anchor's
 * namespaces, keeps three capabilities over them, and serves. Nobody's message is read before that.
 */
#include "accounts.h"
#include "anchor.h"
#include "background.h"
#include "bridge.h"
#include "fd.h"
#include "forwarder.h"
#include "hostside.h"
#include "keep.h"
#include "life.h"
#include "log.h"
#include "log_file.h"
#include "ops.h"
#include "options.h"
#include "orphans.h"
#include "place.h"
#include "sandbox.h"
#include "str.h"
#include "stranded.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

/* Of a system instance. */
#define BROKER_USER "vmnet-broker"

/* Everything netd consists of, in the order of its making. */
struct netd {
    struct options options;
    struct place place;
    bool passed; /* the socket is somebody else's, who keeps it when we go */
    uid_t broker;
    char netns_link[128];
    int listening, leash;
    int host_routes[UPLINKS_MAX];
    int forwarder; /* the connection to that of a dead netd */
    pid_t inside;  /* by whom we enter */
    struct journal_state *old;
    struct process anchor; /* pid 0: dead, but somebody else is inside */
    struct spawner *spawner;
    struct hostside *hostside; /* NULL: the user instance does nothing in the host */
    struct keep *keep;
    struct forwards *forwards;
    sd_event *event;
    struct link_ctx *links;
    struct nft *nft;
    struct journal *journal;
    struct uplinks *uplinks;
    struct networks *networks;
    struct server *server;
    struct life *life;
    struct ops_context ops;
};

/* ---- in the host's namespace ---------------------------------------------------------- */

/* A process in the namespaces of a dead netd, by which we enter: its anchor, or if that is
 * dead as well, a dnsmasq. 0: none; if they exist all the same, nobody can enter them. A negative
 * errno: who knows; then it is not for us to make others. */
static pid_t somebody_inside(const struct journal_state *old)
{
    int r = process_look(&old->anchor);

    if (r != 0)
        return r < 0 ? r : old->anchor.pid;
    for (uint32_t i = 0; i < NETWORKS_MAX; i++) {
        r = process_look(&old->networks[i].dnsmasq);
        if (r != 0)
            return r < 0 ? r : old->networks[i].dnsmasq.pid;
    }
    return 0;
}

static int take_anchor(struct netd *nd, struct netd_why *why)
{
    int r;

    nd->inside = somebody_inside(nd->old);
    if (nd->inside < 0)
        return why_failed(why, nd->inside, "cannot see who is in the namespaces");
    if (nd->inside != 0) {
        if (nd->inside == nd->old->anchor.pid)
            nd->anchor = nd->old->anchor;
        return 0;
    }
    r = anchor_start(&nd->anchor, &nd->leash);
    nd->inside = nd->anchor.pid;
    if (r == -EPERM || r == -EACCES || r == -ENOSPC || r == -EUSERS)
        return why_failed(why, r, "user namespaces are forbidden here (vmnet-brokerctl doctor)");
    return r < 0 ? why_failed(why, r, "cannot make the namespaces") : 0;
}

/* Only a netd that was killed leaves its socket, and that one leaves a journal, too. One that was
 * passed to us says nothing. */
static void look_for_orphans(struct netd *nd)
{
    uint64_t born;

    if (nd->old->anchor.pid != 0 || (!nd->passed && access(nd->place.socket_path, F_OK) < 0) ||
        process_born(getpid(), &born) < 0)
        return;
    nd->old->orphans = orphans_sweep(nd->place.dir_path, born);
    if (nd->old->orphans)
        log_error("the journal in %s was lost: VMs keep networks that nobody knows any more, and "
                  "these end with the last of them",
                  nd->place.dir_path);
}

/* Its broker is another user's. */
static int find_broker(struct netd *nd, struct netd_why *why)
{
    int r = nd->options.system ? account_user(BROKER_USER, &nd->broker) : 0;

    return r < 0 ? why_failed(why, r,
                              "cannot find the user " BROKER_USER ": systemd-sysusers makes it, or "
                              "useradd --system " BROKER_USER)
                 : 0;
}

static int start_listening(struct netd *nd, struct netd_why *why)
{
    if (!nd->passed)
        nd->listening = server_listen(nd->place.socket_path);
    else if (sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_SEQPACKET, 1) > 0)
        nd->listening = SD_LISTEN_FDS_START;
    else
        return why_refused(why, -EINVAL, "what was passed is no listening Unix seqpacket socket");
    if (nd->listening < 0)
        return why_failed(why, nd->listening, "cannot listen on %s", nd->place.socket_path);
    return fcntl(nd->listening, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ? -errno : 0;
}

static int start_spawner(struct netd *nd, struct netd_why *why)
{
    if (nd->options.system &&
        str_format(nd->netns_link, sizeof nd->netns_link, "%s/netns", nd->place.paths.runtime) < 0)
        return why_refused(why, -ENAMETOOLONG, "--runtime-dir is too long");
    const struct spawner_setup setup = { .inside = nd->inside,
                                         .state_path = nd->place.dir_path,
                                         .socket_path = nd->passed ? NULL : nd->place.socket_path,
                                         .netns_link = nd->options.system ? nd->netns_link : NULL,
                                         .broker = nd->broker };
    int r = spawner_start(&setup, &nd->spawner);

    return r < 0 ? why_failed(why, r, "cannot start the spawner") : 0;
}

static int start_outside(struct netd *nd, struct netd_why *why)
{
    int r;

    r = journal_read(nd->place.dirfd, &nd->old);
    if (r < 0)
        return why_failed(why, r, "cannot read %.100s/journal", nd->place.dir_path);
    look_for_orphans(nd);
    r = find_broker(nd, why);
    if (r == 0)
        r = start_listening(nd, why);
    if (r < 0)
        return r;
    r = uplinks_open_host_routes(nd->host_routes);
    if (r < 0)
        return why_failed(why, r, "cannot watch the host's routes");
    nd->forwarder = forwarder_connect(nd->place.dirfd); /* inside we connect to nobody */
    r = take_anchor(nd, why);
    if (r < 0)
        return r;
    stranded_review(nd->old, nd->leash >= 0);
    if (nd->options.system) {
        r = hostside_start(nd->inside, &nd->hostside);
        if (r < 0)
            return why_failed(why, r, "cannot start the process for the host's side");
    }
    return start_spawner(nd, why);
}

/* ---- inside --------------------------------------------------------------------------- */

static int on_request(void *arg, struct session *session, const struct netd_msg *msg)
{
    struct netd *nd = arg;

    return ops_serve(&nd->ops, session, msg);
}

static int on_other_version(void *arg, struct session *session, const struct netd_header *header)
{
    struct netd *nd = arg;

    return ops_refuse_version(&nd->ops, session, header);
}

static void on_broker_gone(void *arg)
{
    const struct netd *nd = arg;

    life_consider(nd->life);
}

static int on_admit(void *arg, int fd)
{
    const struct netd *nd = arg;

    return spawner_admit(nd->spawner, fd);
}

static int on_listen(void *arg)
{
    const struct netd *nd = arg;

    return spawner_listen(nd->spawner);
}

static void on_unlisten(void *arg)
{
    const struct netd *nd = arg;
    int r = spawner_unlisten(nd->spawner);

    if (r < 0)
        (void)log_failure(r, "cannot remove %s", nd->place.socket_path);
}

static void on_tap_gone(void *arg, const struct netd_interface *interface)
{
    ops_tap_gone(arg, interface);
}

static void on_lease(void *arg, const struct netd_lease *lease)
{
    ops_lease(arg, lease);
}

static void on_stranded_over(void *arg, const struct netd_stranded *stranded)
{
    ops_stranded_over(arg, stranded);
}

static void on_way(void *arg, const struct netd_uplink *uplink)
{
    ops_way(arg, uplink);
}

static void on_uplink(void *arg, const char *interface, const char *engine, const char *state)
{
    ops_uplink(arg, interface, engine, state);
}

static void on_forward(void *arg, const struct netd_forward *forward)
{
    ops_forward(arg, forward);
}

static int open_tools(struct netd *nd)
{
    int r;

    r = sd_event_new(&nd->event);
    if (r >= 0)
        r = link_open(&nd->links);
    if (r < 0)
        return r;
    nd->nft = nft_new();
    if (!nd->nft)
        return -ENOMEM;
    return uplinks_new(nd->event, nd->links, nd->nft, nd->spawner, nd->host_routes, on_uplink,
                       &nd->ops, &nd->uplinks);
}

static void on_anchor(void *arg, const struct process *anchor)
{
    struct netd *nd = arg;

    nd->anchor = *anchor;
    if (nd->server) /* else nobody has been told of another one */
        ops_anchor(&nd->ops, anchor->pid);
}

static void on_crippled(void *arg, const char *who)
{
    struct netd *nd = arg;

    log_warning("the %s has ended; so do we, and the next netd adopts what there is", who);
    (void)sd_event_exit(nd->event, LIFE_ADOPT);
}

/* It says what the old one said, until we have looked what is left of that. */
static int begin_journal(struct netd *nd, struct netd_why *why)
{
    struct keep_setup setup = { .event = nd->event,
                                .spawner = nd->spawner,
                                .hostside = nd->hostside,
                                .anchor = on_anchor,
                                .crippled = on_crippled,
                                .arg = nd };
    int r;

    nd->old->anchor = nd->anchor;
    r = journal_begin(nd->place.dirfd, nd->old, &nd->journal);
    if (r < 0)
        return why_unwritten(why, r, nd->place.dir_path);
    setup.journal = nd->journal;
    r = keep_new(&setup, &nd->anchor, &nd->keep);
    return r < 0 ? why_failed(why, r, "cannot watch over anchor and spawner") : 0;
}

static int make_forwards(struct netd *nd)
{
    const struct forwards_setup setup = { .event = nd->event,
                                          .spawner = nd->spawner,
                                          .journal = nd->journal,
                                          .nft = nd->nft,
                                          .links = nd->links,
                                          .dirfd = nd->place.dirfd,
                                          .path = nd->place.dir_path,
                                          .changed = on_forward,
                                          .arg = &nd->ops };

    return forwards_new(&setup, &nd->forwards);
}

static int take_over_networks(struct netd *nd, struct netd_why *why)
{
    const struct network_tools tools = { .event = nd->event,
                                         .links = nd->links,
                                         .nft = nd->nft,
                                         .spawner = nd->spawner,
                                         .uplinks = nd->uplinks,
                                         .hostside = nd->hostside,
                                         .journal = nd->journal,
                                         .forwards = nd->forwards,
                                         .state_dirfd = nd->place.dirfd,
                                         .state_path = nd->place.dir_path };
    const struct network_events events = { .tap_gone = on_tap_gone,
                                           .lease = on_lease,
                                           .way = on_way,
                                           .stranded_over = on_stranded_over,
                                           .arg = &nd->ops };
    int r;

    r = networks_new(&tools, &events, &nd->networks, why);
    if (r < 0)
        return r;
    r = networks_adopt(nd->networks, nd->old, fd_take(&nd->forwarder), why);
    if (r < 0)
        return r;
    if (nd->leash >= 0)
        r = anchor_release(fd_take(&nd->leash));
    return r < 0 ? why_failed(why, r, "the namespaces' anchor has died") : 0;
}

static int start_serving(struct netd *nd, struct netd_why *why)
{
    const struct server_events events = { .request = on_request,
                                          .other_version = on_other_version,
                                          .broker_gone = on_broker_gone,
                                          .admit = nd->options.system ? on_admit : NULL,
                                          .listen = on_listen,
                                          .unlisten = on_unlisten,
                                          .arg = nd };
    int r;

    r = server_new(nd->event, nd->listening, nd->passed ? NULL : nd->place.socket_path, &events,
                   &nd->server);
    if (r == 0) {
        nd->listening = -1;
        r = life_new(nd->event, nd->networks, nd->server, nd->options.idle_sec, &nd->life);
    }
    if (r < 0)
        return why_failed(why, r, "cannot serve");
    nd->ops = (struct ops_context){ .networks = nd->networks,
                                    .forwards = nd->forwards,
                                    .uplinks = nd->uplinks,
                                    .server = nd->server,
                                    .life = nd->life,
                                    .anchor = nd->anchor.pid };
    return 0;
}

static int start_inside(struct netd *nd, struct netd_why *why)
{
    int r;

    r = anchor_enter(nd->inside);
    if (r == 0)
        r = sandbox_enter(nd->place.dir_path);
    if (r < 0)
        return why_failed(why, r, "cannot enter the namespaces of process %d", (int)nd->inside);
    r = open_tools(nd);
    if (r < 0)
        return why_failed(why, r, "cannot open what networks are made with");
    r = bridge_prepare_namespace(nd->links, why);
    if (r < 0)
        return r;
    r = begin_journal(nd, why);
    if (r < 0)
        return r;
    r = make_forwards(nd);
    if (r < 0)
        return why_failed(why, r, "forwarded ports");
    r = take_over_networks(nd, why);
    return r < 0 ? r : start_serving(nd, why);
}

/* ---- the end -------------------------------------------------------------------------- */

/* Everything has been removed but what we are made of. Harmless on a half-made one. */
static void end(struct netd *nd)
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
    journal_free(nd->journal, true);
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
    sigset_t set;

    (void)signal(SIGCHLD, SIG_IGN); /* anchor and spawner; nobody waits for them */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
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
        r = start_outside(nd, &why);
    if (r == 0)
        r = start_inside(nd, &why);
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
    if (r == LIFE_CLEAN)
        end(nd);
    return r < 0 ? 1 : 0;
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
