/* SPDX-License-Identifier: Apache-2.0 */
/* start_outside.c - what netd makes while it is in the host's namespace: the socket (in a system
 * instance one that was passed to us), the host's routes, the anchor or whoever else holds the
 * namespaces of a dead netd open, and the processes that stay outside. */
#include "netd.h"

#include "accounts.h"
#include "anchor.h"
#include "forwarder.h"
#include "log.h"
#include "mem.h"
#include "orphans.h"
#include "str.h"
#include "stranded.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* Of a system instance. */
#define BROKER_USER "vmnet-broker"

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
    r = nd->options.system ? uplink_user_anchor(&nd->anchor, &nd->leash)
                           : anchor_start(NULL, &nd->anchor, &nd->leash);
    nd->inside = nd->anchor.pid;
    if (r == -EPERM || r == -EACCES || r == -ENOSPC || r == -EUSERS)
        return why_failed(why, r, "user namespaces are forbidden here (vmnet-brokerctl doctor)");
    return r < 0 ? why_failed(why, r, "cannot make the namespaces") : 0;
}

/* What the anchor took, nobody needs any more. NET_ADMIN is hostside's; the spawner says what it
 * needs of the others (workshop.c). */
static int give_up_mapping(struct netd *nd, struct netd_why *why)
{
    static const int rest[] = { CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_SYS_PTRACE };
    int r;

    if (!nd->options.system)
        return 0;
    uplink_user_of(nd->inside, &nd->uplink);
    if (nd->uplink.uid == 0 && nd->leash < 0)
        uplink_user_miss();
    r = confine_to_capabilities(rest, N_ELEMENTS(rest));
    return r < 0 ? why_failed(why, r, "cannot give up capabilities") : 0;
}

/* Only a netd that was killed leaves its socket, and that one leaves a journal, too. One that was
 * passed to us says nothing. */
static void look_for_orphans(struct netd *nd)
{
    uint64_t born;

    if (nd->old->anchor.pid != 0 || (!nd->passed && access(nd->place.socket_path, F_OK) < 0) ||
        process_born(getpid(), &born) < 0)
        return;
    nd->old->orphans = orphans_sweep(nd->place.dir_path, born, nd->uplink.uid);
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
                                         .broker = nd->broker,
                                         .uplink = nd->uplink };
    int r = spawner_start(&setup, &nd->spawner);

    return r < 0 ? why_failed(why, r, "cannot start the spawner") : 0;
}

int netd_start_outside(struct netd *nd, struct netd_why *why)
{
    int r;

    r = journal_read(nd->place.dirfd, &nd->old);
    if (r < 0)
        return why_failed(why, r, "cannot read %.100s/journal", nd->place.dir_path);
    r = take_anchor(nd, why);
    if (r == 0)
        r = give_up_mapping(nd, why);
    if (r < 0)
        return r;
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
    stranded_review(nd->old, nd->leash >= 0);
    if (nd->options.system) {
        r = hostside_start(nd->inside, &nd->hostside);
        if (r < 0)
            return why_failed(why, r, "cannot start the process for the host's side");
    }
    return start_spawner(nd, why);
}
