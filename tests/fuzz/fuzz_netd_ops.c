/* SPDX-License-Identifier: Apache-2.0 */
/* A broker gone mad: packets to netd's session and its table of operations. Whatever comes,
 * netd lives, each well-formed request that is in its place gets one answer, and each
 * answer passes the check of the other side.
 *
 * The input is a row of packets, each behind two bytes of length. What the operations do
 * is pretended here, or silent (fakes/silent_netd.c).
 */
#include "fuzz.h"

#include "ops.c"
#include "server_part.h" /* sessions that did not come by accept() */

#include <fcntl.h>
#include <sys/socket.h>

static struct {
    unsigned networks, fds;
    struct network_pending {
        network_built built;
        void *arg;
    } pending;
} world;

struct networks {
    int unused;
};
struct life {
    int unused;
};
struct uplink {
    int unused;
};

void life_make_way(struct life *life, const char *why)
{
    (void)life;
    (void)why;
}

int life_leave(struct life *life, struct netd_why *why)
{
    (void)life;
    return world.networks > 0 ? why_refused(why, -EBUSY, "a TAP is in use") : 0;
}

static const struct netd_network shared = {
    .name = "shared", .id = "1", .mtu = 1500, .ipv4_base = 0xc0a84000, .ipv4_prefix = 24
};

void networks_list(struct networks *all, void (*each)(void *arg, const struct netd_network *),
                   void (*tap)(void *arg, const struct netd_interface *), void *arg)
{
    (void)all;
    (void)tap;
    for (unsigned i = 0; i < world.networks; i++)
        each(arg, &shared);
}

int networks_build(struct networks *all, const struct netd_network *def, network_built built,
                   void *arg, struct netd_why *why)
{
    (void)all;
    MUST(name_valid(def->name));
    if (world.pending.built)
        return why_refused(why, -EBUSY, "network '%s' is being built", def->name);
    world.pending = (struct network_pending){ built, arg };
    return 0;
}

int networks_update(struct networks *all, const struct netd_update *update, struct netd_why *why)
{
    (void)all;
    MUST(name_valid(update->network));
    MUST(update->first + update->count <= update->total && update->total <= NETD_RESERVATIONS_MAX);
    return world.networks > 0 ? 0 : why_refused(why, -ENOENT, "no network '%s'", update->network);
}

int networks_remove(struct networks *all, const char *name, struct netd_why *why)
{
    (void)all;
    if (world.networks == 0)
        return why_refused(why, -ENOENT, "no network '%s'", name);
    world.networks--;
    return 0;
}

int networks_open_tap(struct networks *all, const struct netd_interface *request,
                      struct netd_interface *ret, int *ret_fds, struct netd_why *why)
{
    (void)all;
    if (world.networks == 0)
        return why_refused(why, -ENOENT, "no network '%s'", request->network);
    *ret = *request;
    (void)str_copy(ret->tap, sizeof ret->tap, "vt0.0");
    for (uint32_t i = 0; i < request->queues; i++)
        MUST((ret_fds[i] = fcntl(0, F_DUPFD_CLOEXEC, 3)) >= 0);
    return 0;
}

int networks_stats(struct networks *all, void (*each)(void *arg, const struct netd_stats *),
                   void *arg, struct netd_why *why)
{
    static const struct netd_stats stats = { .network = "shared", .tap = "vt0.0" };

    (void)all;
    (void)why;
    for (unsigned i = 0; i < world.networks; i++)
        each(arg, &stats);
    return 0;
}

int networks_add_forward(struct networks *all, const struct netd_forward *forward,
                         struct netd_why *why)
{
    (void)all;
    if (world.networks == 0)
        return why_refused(why, -ENOENT, "no network '%s'", forward->network);
    return 0;
}

int forwards_remove(struct forwards *all, const struct netd_forward *forward, struct netd_why *why)
{
    (void)all;
    return why_refused(why, -ENOENT, "port %u is not forwarded", forward->external_port);
}

void forwards_list(const struct forwards *all, void (*each)(void *arg, const struct netd_forward *),
                   void *arg)
{
    (void)all;
    (void)each;
    (void)arg;
}

static void finish_build(void)
{
    struct network_pending done = world.pending;

    if (!done.built)
        return;
    world.pending = (struct network_pending){ NULL, NULL };
    world.networks++;
    done.built(done.arg, 0, NULL);
}

/* How many final answers came; all of them well-formed. */
static unsigned read_answers(int sock)
{
    struct netd_msg msg;
    int fds[NETD_QUEUES_MAX];
    size_t len, n_fds = NETD_QUEUES_MAX;
    unsigned n = 0;

    while (netd_msg_recv(sock, &msg, &len, fds, &n_fds) == 0 && len > 0) {
        MUST(netd_msg_check(&msg, len, NETD_TO_BROKER) == 0);
        n += !(msg.header.flags & NETD_MORE);
        for (size_t i = 0; i < n_fds; i++)
            fd_closep(&fds[i]);
        n_fds = NETD_QUEUES_MAX;
    }
    return n;
}

static int on_request(void *arg, struct session *session, const struct netd_msg *msg)
{
    return ops_serve(arg, session, msg);
}

static int on_other_version(void *arg, struct session *session, const struct netd_header *header)
{
    (void)arg;
    (void)session;
    (void)header;
    return -EPROTONOSUPPORT;
}

static void on_broker_gone(void *arg)
{
    (void)arg;
}

/* One packet; returns whether the session lives. */
static bool say(struct server *server, int sock, const uint8_t *data, size_t len)
{
    struct netd_msg msg = { 0 };
    bool form, alive;

    memcpy(&msg, data, len < sizeof msg ? len : sizeof msg);
    form = netd_msg_check(&msg, len, NETD_TO_HELPER) == 0;
    if (send(sock, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return false;
    while (sd_event_run(server->event, 0) > 0)
        finish_build();
    finish_build();
    alive = server->sessions != NULL;
    MUST(form || !alive);
    MUST(read_answers(sock) == (alive ? 1 : 0));
    return alive;
}

FUZZ(data, size)
{
    struct ops_context ctx = { .anchor = 2 };
    const struct server_events events = { .request = on_request,
                                          .other_version = on_other_version,
                                          .broker_gone = on_broker_gone,
                                          .arg = &ctx };
    struct server server = { .fd = -1, .events = events };
    unsigned fds = fuzz_open_fds();
    int pair[2];

    MUST(sd_event_new(&server.event) >= 0);
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    MUST(session_new(&server, pair[1], 1) == 0);
    ctx.server = &server;
    while (size >= 2) {
        size_t len = data[0] | (size_t)data[1] << 8;

        data += 2;
        size -= 2;
        len = len < size ? len : size;
        if (len == 0 || !say(&server, pair[0], data, len))
            break;
        data += len;
        size -= len;
    }
    fd_closep(&pair[0]);
    while (sd_event_run(server.event, 0) > 0)
        continue;
    MUST(!server.sessions);
    finish_build(); /* nobody is there to hear of it */
    world.networks = 0;
    sd_event_unref(server.event);
    MUST(fuzz_open_fds() == fds);
}
