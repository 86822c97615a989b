/* SPDX-License-Identifier: Apache-2.0 */
/* hostside.c - see hostside.h: netd's side of it. hostside_part.h tells how the sides work
 * together. */
#include "hostside_part.h"

#include "anchor.h"
#include "descriptors.h"
#include "fd.h"
#include "mem.h"
#include "packet.h"
#include "partner.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct hostside {
    struct partner partner;
    int news;
};

enum { NETD, ITS, ENDS };

static _Noreturn void become(int sock, int news, int netns)
{
    static struct host host = { .sock = 3, .news = 4, .netns = 5 };

    descriptors_keep_only((int[]){ sock, news, netns }, 3);
    hostside_main(&host);
}

int hostside_start(pid_t inside_pid, struct hostside **ret)
{
    AUTO_FD userns = -1, netns = -1;
    struct hostside *h;
    int sock[ENDS] = { -1, -1 }, news[ENDS] = { -1, -1 }, r;
    pid_t pid;

    r = anchor_open(inside_pid, &userns, &netns);
    if (r < 0)
        return r;
    h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, news) < 0)
        r = -errno;
    pid = r == 0 ? fork() : 0;
    if (r == 0 && pid == 0)
        become(sock[ITS], news[ITS], netns);
    if (pid < 0)
        r = -errno;
    fd_closep(&sock[ITS]);
    fd_closep(&news[ITS]);
    h->news = news[NETD];
    h->partner = (struct partner){ .sock = sock[NETD], .child.pidfd = -1 };
    if (r == 0)
        r = partner_init(&h->partner, "hostside", sock[NETD], pid);
    if (r < 0) {
        hostside_free(h);
        return r;
    }
    *ret = h;
    return 0;
}

void hostside_free(struct hostside *h)
{
    if (!h)
        return;
    fd_closep(&h->news);
    partner_end(&h->partner);
    free(h);
}

const struct partner *hostside_partner(const struct hostside *h)
{
    return &h->partner;
}

static int ask(struct hostside *h, struct hostside_request *request, struct hostside_reply *ret,
               struct netd_why *why)
{
    int fds[PACKET_FDS], r;
    size_t n = 0;

    r = packet_send(h->partner.sock, request, sizeof *request, NULL, 0);
    if (r == 0)
        r = partner_hear(&h->partner, ret, sizeof *ret, fds, &n);
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
    if (r == -ETIMEDOUT || r == -EPIPE || r == -ECONNRESET) /* netd ends now: keep.c */
        return why_refused(
            why, r, "the process for the host's side %s; try again, and the next one does it",
            r == -ETIMEDOUT ? "did not answer and was killed" : "has ended");
    if (r < 0)
        return why_failed(why, r, "the process for the host's side");
    ret->why.why[sizeof ret->why.why - 1] = '\0';
    return ret->err < 0 ? why_refused(why, ret->err, "%s", ret->why.why) : 0;
}

int hostside_join(struct hostside *h, uint32_t index, const struct netd_network *net, bool adopt,
                  unsigned *ret_families, struct netd_why *why)
{
    struct hostside_request request = { .op = HOSTSIDE_JOIN,
                                        .body.join = { .index = index,
                                                       .ipv4_base = net->ipv4_base,
                                                       .ipv4_prefix = net->ipv4_prefix,
                                                       .ipv6_len = net->ipv6_len,
                                                       .mtu = net->mtu,
                                                       .adopt = adopt } };
    struct hostside_reply reply = { 0 };
    int r;

    memcpy(request.body.join.ipv6, net->ipv6, sizeof request.body.join.ipv6);
    r = ask(h, &request, &reply, why);
    if (r == 0)
        *ret_families = reply.body.families;
    return r;
}

int hostside_part(struct hostside *h, uint32_t index, struct netd_why *why)
{
    struct hostside_request request = { .op = HOSTSIDE_PART, .body.part = index };
    struct hostside_reply reply = { 0 };

    return ask(h, &request, &reply, why);
}

int hostside_sweep(struct hostside *h, struct netd_why *why)
{
    struct hostside_request request = { .op = HOSTSIDE_SWEEP };
    struct hostside_reply reply = { 0 };

    return ask(h, &request, &reply, why);
}

int hostside_nat_plan(struct hostside *h, const struct host_nat_plan *now,
                      struct host_nat_plan *ret, struct netd_why *why)
{
    struct hostside_request request = { .op = HOSTSIDE_NAT_PLAN, .body.plan = *now };
    struct hostside_reply reply = { 0 };
    int r = ask(h, &request, &reply, why);

    if (r == 0)
        *ret = reply.body.plan;
    return r;
}

int hostside_nat_make(struct hostside *h, const struct host_nat_plan *plan, unsigned *ret_mended,
                      struct netd_why *why)
{
    struct hostside_request request = { .op = HOSTSIDE_NAT_MAKE, .body.plan = *plan };
    struct hostside_reply reply = { 0 };
    int r = ask(h, &request, &reply, why);

    if (r == 0)
        *ret_mended = reply.body.mended;
    return r;
}

int hostside_nat_end(struct hostside *h, const struct host_nat_plan *plan, struct netd_why *why)
{
    struct hostside_request request = { .op = HOSTSIDE_NAT_END, .body.plan = *plan };
    struct hostside_reply reply = { 0 };

    return ask(h, &request, &reply, why);
}

int hostside_nat_arm(struct hostside *h, bool trace, struct netd_why *why)
{
    struct hostside_request request = { .op = HOSTSIDE_NAT_ARM, .body.trace = trace };
    struct hostside_reply reply = { 0 };

    return ask(h, &request, &reply, why);
}

int hostside_nat_look(struct hostside *h, struct host_nat_verdict *ret, struct netd_why *why)
{
    struct hostside_request request = { .op = HOSTSIDE_NAT_LOOK };
    struct hostside_reply reply = { 0 };
    int r = ask(h, &request, &reply, why);

    if (r == 0)
        *ret = reply.body.verdict;
    return r;
}

void hostside_nat_rest(struct hostside *h)
{
    struct hostside_request request = { .op = HOSTSIDE_NAT_REST };
    struct hostside_reply reply = { 0 };

    (void)ask(h, &request, &reply, &(struct netd_why){ 0 });
}

int hostside_news_fd(const struct hostside *h)
{
    return h->news;
}

void hostside_read_news(struct hostside *h, const struct hostside_events *events)
{
    struct hostside_news news;

    while (recv(h->news, &news, sizeof news, MSG_DONTWAIT) == sizeof news)
        if (news.kind == HOSTSIDE_LOST && news.index < NETWORKS_MAX)
            events->lost(events->arg, news.index);
        else if (news.kind == HOSTSIDE_CHANGED)
            events->changed(events->arg);
}
