/* SPDX-License-Identifier: Apache-2.0 */
/* forwarder_udp.c - datagrams, by flows.
 *
 * A flow is a client's address and port, the address of the host that it wrote to, and an
 * entrance; it has a socket towards the VM of its own, so that the kernel tells answers
 * apart. Answers leave from the address that the client wrote to, whichever that was. Nobody
 * says when a flow is over: time does, or somebody new when there are too many.
 */
#include "forwarder_part.h"

#include "clock.h"
#include "fd.h"
#include "mem.h"

#include <netinet/in.h>
#include <string.h>

#define UNANSWERED   (30 * FORWARDER_SEC) /* as the kernel's own tracking has it */
#define QUIET        (180 * FORWARDER_SEC)
#define DATAGRAM_MAX 65535
#define BUCKETS      1024u /* a power of two */

struct udp_flow {
    TAILQ_ENTRY(udp_flow) age; /* quiet longest first */
    LIST_ENTRY(udp_flow) same; /* of one bucket */
    struct udp *udp;
    const struct listener *listener;
    struct sockaddr_storage client;
    struct in6_addr local; /* of the host; IPv4 in its first word */
    unsigned ifindex;      /* IPv6 link-local addresses need one */
    int vm;
    sd_event_source *io;
    bool answered;
    uint64_t used;
};

struct udp {
    struct forwarder *fw;
    TAILQ_HEAD(, udp_flow) flows;
    LIST_HEAD(, udp_flow) buckets[BUCKETS];
    char datagram[DATAGRAM_MAX];
};

/* The kernel's word on where a datagram was sent to, and ours on where one is to come from. */
union control {
    char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    struct cmsghdr align;
};

/* ---- flows ------------------------------------------------------------------------- */

static bool same_client(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
    const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

    if (a->ss_family != b->ss_family || a4->sin_port != b4->sin_port)
        return false;
    return a->ss_family == AF_INET ? a4->sin_addr.s_addr == b4->sin_addr.s_addr
                                   : IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr) &&
                                         a6->sin6_scope_id == b6->sin6_scope_id;
}

/* Clients differ in their ports most of all. */
static unsigned bucket_of(const struct sockaddr_storage *client)
{
    const struct sockaddr_in *v4 = (const void *)client;
    const struct sockaddr_in6 *v6 = (const void *)client;
    uint32_t word = v4->sin_addr.s_addr;

    if (client->ss_family == AF_INET6)
        memcpy(&word, &v6->sin6_addr.s6_addr[12], sizeof word);
    return ((word ^ v4->sin_port) * 2654435761u >> 16) % BUCKETS;
}

static void flow_free(struct udp_flow *f)
{
    struct entrance *e = f->listener->entrance;

    TAILQ_REMOVE(&f->udp->flows, f, age);
    LIST_REMOVE(f, same);
    sd_event_source_disable_unref(f->io);
    fd_closep(&f->vm);
    free(f);
    entrance_leave(e, 1);
}

static void flow_touch(struct udp_flow *f)
{
    f->used = monotonic_usec();
    TAILQ_REMOVE(&f->udp->flows, f, age);
    TAILQ_INSERT_TAIL(&f->udp->flows, f, age);
}

/* From the address that the client wrote to. */
static void answer(const struct udp_flow *f, size_t len)
{
    struct iovec part = { f->udp->datagram, len };
    union control control = { 0 };
    struct sockaddr_storage to = f->client;
    bool v4 = to.ss_family == AF_INET;
    struct msghdr msg = { .msg_name = &to,
                          .msg_namelen =
                              v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
                          .msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = &control };
    struct in_pktinfo here4 = { .ipi_spec_dst.s_addr = f->local.s6_addr32[0] };
    struct in6_pktinfo here6 = { .ipi6_addr = f->local, .ipi6_ifindex = f->ifindex };
    size_t size = v4 ? sizeof here4 : sizeof here6;
    struct cmsghdr *c;

    msg.msg_controllen = CMSG_SPACE(size);
    c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = v4 ? SOL_IP : SOL_IPV6;
    c->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), v4 ? (void *)&here4 : (void *)&here6, size);
    (void)sendmsg(f->listener->fd, &msg, MSG_DONTWAIT);
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct udp_flow *f = arg;
    ssize_t n = 0;

    (void)source, (void)events;
    for (int i = 0; i < FORWARDER_BATCH && n >= 0; i++) {
        n = recv(fd, f->udp->datagram, sizeof f->udp->datagram, 0);
        if (n < 0)
            break;
        f->answered = true;
        answer(f, (size_t)n);
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        flow_free(f); /* nobody listens there; a client that goes on asking begins anew */
    else
        flow_touch(f);
    return 0;
}

/* ---- clients ----------------------------------------------------------------------- */

/* What a datagram came with, as a flow that is looked for. */
static struct udp_flow *flow_find(const struct udp *udp, const struct udp_flow *like)
{
    struct udp_flow *f;

    LIST_FOREACH (f, &udp->buckets[bucket_of(&like->client)], same)
        if (f->listener == like->listener && f->ifindex == like->ifindex &&
            IN6_ARE_ADDR_EQUAL(&f->local, &like->local) && same_client(&f->client, &like->client))
            return f;
    return NULL;
}

/* Room for one more: that of the flow which has been quiet longest, where there is none. A
 * crowd at one entrance makes room among itself. */
static bool make_room(struct udp *udp, struct entrance *e)
{
    struct udp_flow *oldest;

    if (entrance_admit(e, 1, UDP_FLOWS_MAX / ENTRANCE_SHARE))
        return true;
    TAILQ_FOREACH (oldest, &udp->flows, age)
        if (oldest->listener->entrance == e)
            break;
    if (!oldest)
        return false;
    flow_free(oldest);
    return entrance_admit(e, 1, UDP_FLOWS_MAX / ENTRANCE_SHARE);
}

static struct udp_flow *flow_new(struct udp *udp, const struct udp_flow *like)
{
    struct entrance *e = like->listener->entrance;
    struct udp_flow *f = make_room(udp, e) ? calloc(1, sizeof *f) : NULL;

    if (!f)
        return NULL;
    *f = *like;
    f->udp = udp;
    f->used = monotonic_usec();
    TAILQ_INSERT_TAIL(&udp->flows, f, age);
    LIST_INSERT_HEAD(&udp->buckets[bucket_of(&f->client)], f, same);
    f->vm = dial(&e->order, SOCK_DGRAM, &f->client);
    if (f->vm < 0 || sd_event_add_io(udp->fw->event, &f->io, f->vm, EPOLLIN, on_answer, f) < 0) {
        flow_free(f);
        return NULL;
    }
    forwarder_keep_ticking(udp->fw);
    return f;
}

/* Which address of the host it was sent to. False: to everybody, which is not for us. */
static bool read_local(struct msghdr *msg, struct udp_flow *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        struct in_pktinfo info4;
        struct in6_pktinfo info6;

        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
            memcpy(&info4, CMSG_DATA(c), sizeof info4);
            ret->local.s6_addr32[0] = info4.ipi_spec_dst.s_addr;
            return info4.ipi_addr.s_addr == info4.ipi_spec_dst.s_addr;
        }
        if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            memcpy(&info6, CMSG_DATA(c), sizeof info6);
            ret->local = info6.ipi6_addr;
            ret->ifindex = IN6_IS_ADDR_LINKLOCAL(&info6.ipi6_addr) ? info6.ipi6_ifindex : 0;
            return !IN6_IS_ADDR_MULTICAST(&info6.ipi6_addr);
        }
    }
    return false;
}

/* Bytes, or a negative errno. */
static ssize_t receive(const struct listener *listener, struct udp *udp, struct udp_flow *ret)
{
    struct iovec part = { udp->datagram, sizeof udp->datagram };
    union control control;
    struct msghdr msg = { .msg_name = &ret->client,
                          .msg_namelen = sizeof ret->client,
                          .msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    ssize_t n = recvmsg(listener->fd, &msg, MSG_DONTWAIT);

    if (n < 0)
        return -errno;
    return read_local(&msg, ret) ? n : -ENOMSG;
}

static int on_datagrams(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    const struct listener *listener = arg;
    struct udp *udp = listener->entrance->forwarder->udp;

    (void)source, (void)fd, (void)events;
    for (int i = 0; i < FORWARDER_BATCH; i++) {
        struct udp_flow like = { .listener = listener, .vm = -1 }, *f;
        ssize_t n = receive(listener, udp, &like);

        if (n == -ENOMSG)
            continue;
        if (n < 0)
            break;
        f = flow_find(udp, &like);
        if (f)
            flow_touch(f);
        else
            f = flow_new(udp, &like);
        if (f)
            (void)send(f->vm, udp->datagram, (size_t)n, MSG_DONTWAIT);
    }
    return 0;
}

int udp_listen(struct listener *listener)
{
    return sd_event_add_io(listener->entrance->forwarder->event, &listener->io, listener->fd,
                           EPOLLIN, on_datagrams, listener);
}

void udp_cut(struct entrance *e)
{
    struct udp *udp = e->forwarder->udp;

    for (struct udp_flow *f = TAILQ_FIRST(&udp->flows), *next; f; f = next) {
        next = TAILQ_NEXT(f, age);
        if (f->listener->entrance == e)
            flow_free(f);
    }
}

/* In the order of their last use, but two patiences. */
bool udp_tick(struct udp *udp, uint64_t now)
{
    for (struct udp_flow *f = TAILQ_FIRST(&udp->flows), *next; f; f = next) {
        next = TAILQ_NEXT(f, age);
        if (now - f->used > (f->answered ? QUIET : UNANSWERED))
            flow_free(f);
    }
    return !TAILQ_EMPTY(&udp->flows);
}

int udp_new(struct forwarder *fw)
{
    struct udp *udp = calloc(1, sizeof *udp);

    if (!udp)
        return -ENOMEM;
    udp->fw = fw;
    TAILQ_INIT(&udp->flows);
    fw->udp = udp;
    return 0;
}
