/* SPDX-License-Identifier: Apache-2.0 */
/* relay_udp.c - questions in datagrams.
 *
 * Every port that asks gets a connected socket of its own towards the resolver. That is
 * what tells answers apart without reading them, lets the kernel refuse forged ones, and
 * keeps source ports unpredictable. The last question is kept, to be asked of the next
 * resolver when one refuses or is silent.
 */
#include "relay_part.h"

#include "clock.h"
#include "fd.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define UDP_LIFE     (10 * SEC)
#define UDP_QUIET    (2 * SEC) /* after an answer; a port that is kept is one less for others */
#define UDP_PATIENCE (2 * SEC) /* guests ask again after 5: let that be answered */

#define QUESTION_MAX 4096 /* a larger datagram is no question, and is dropped */
#define ANSWER_MAX   65535

/* One port that asks. */
struct asker {
    struct relay_udp *udp;
    struct sockaddr_in from;
    int fd; /* towards the resolver; -1: none */
    sd_event_source *io;
    uint64_t used;  /* when it last asked; 0: the slot is free */
    uint64_t asked; /* when the resolver was asked; 0: it has answered */
    struct attempt attempt;
    size_t server; /* the resolver that fd is connected to */
    size_t question_len;
    char *question; /* QUESTION_MAX bytes */
};

struct relay_udp {
    struct relay *relay;
    int fd;
    struct asker askers[RELAY_UDP_MAX];
};

static struct resolvers *resolvers_of(struct asker *a)
{
    return &a->udp->relay->resolvers;
}

static void asker_disconnect(struct asker *a)
{
    a->io = sd_event_source_disable_unref(a->io);
    fd_closep(&a->fd);
    a->asked = 0;
}

static void asker_free(struct asker *a)
{
    asker_disconnect(a);
    free(a->question);
    a->question = NULL;
    a->used = 0;
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *arg);

/* One resolver: connect to it, unless the last question went there, and ask. */
static int asker_send(struct asker *a, size_t server)
{
    int r = 0;

    if (a->fd < 0 || server != a->server) {
        asker_disconnect(a);
        r = a->fd = resolver_connect(&resolvers_of(a)->server[server], SOCK_DGRAM);
        a->server = server;
        if (r >= 0)
            r = sd_event_add_io(a->udp->relay->event, &a->io, a->fd, EPOLLIN, on_answer, a);
    }
    if (r >= 0 && send(a->fd, a->question, a->question_len, 0) < 0)
        r = -errno;
    if (r < 0) {
        asker_disconnect(a);
        return r;
    }
    a->asked = monotonic_usec();
    return 0;
}

/* Asks the first resolver that takes the question. */
static void asker_ask(struct asker *a)
{
    size_t server;

    while (attempt_server(resolvers_of(a), &a->attempt, &server)) {
        if (asker_send(a, server) == 0)
            return;
        attempt_failed(resolvers_of(a), &a->attempt);
    }
    resolvers_complain(resolvers_of(a), monotonic_usec());
    asker_free(a); /* who asked will notice, and ask again */
}

static void asker_ask_next(struct asker *a)
{
    attempt_failed(resolvers_of(a), &a->attempt);
    asker_disconnect(a);
    asker_ask(a);
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    static char answer[ANSWER_MAX];
    struct asker *a = arg;
    ssize_t n = recv(fd, answer, sizeof answer, 0);

    (void)source, (void)events;
    if (n >= 0) {
        a->asked = 0;
        (void)sendto(a->udp->fd, answer, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&a->from,
                     sizeof a->from);
    } else if (errno != EAGAIN && errno != EINTR) {
        if (a->asked) /* refused: no need to wait until it is late */
            asker_ask_next(a);
        else
            asker_disconnect(a);
    }
    return 0;
}

/* The slot of whoever asks, a free one, or that of whoever has been quiet longest. */
static struct asker *asker_find(struct relay_udp *udp, const struct sockaddr_in *from)
{
    struct asker *best = &udp->askers[0];

    for (size_t i = 0; i < RELAY_UDP_MAX; i++) {
        struct asker *a = &udp->askers[i];
        if (a->used && a->from.sin_port == from->sin_port &&
            a->from.sin_addr.s_addr == from->sin_addr.s_addr)
            return a;
        if (a->used < best->used)
            best = a;
    }
    if (best->used)
        asker_free(best);
    best->from = *from;
    return best;
}

static void take_question(struct relay_udp *udp, const struct sockaddr_in *from,
                          const char *question, size_t len)
{
    struct asker *a = asker_find(udp, from);
    unsigned version = a->attempt.version;

    if (!a->question)
        a->question = malloc(QUESTION_MAX);
    if (!a->question)
        return;
    memcpy(a->question, question, len);
    a->question_len = len;
    a->used = monotonic_usec();
    attempt_begin(&udp->relay->resolvers, &a->attempt);
    if (a->attempt.version != version)
        asker_disconnect(a); /* its number means another resolver now */
    asker_ask(a);
    relay_keep_ticking(udp->relay);
}

static int on_question(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    char question[QUESTION_MAX + 1];
    struct sockaddr_in from = { 0 };

    (void)source, (void)events;
    for (int i = 0; i < RELAY_BATCH; i++) {
        socklen_t len = sizeof from;
        ssize_t n =
            recvfrom(fd, question, sizeof question, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
        if (n < 0)
            break;
        if (n <= QUESTION_MAX && len == sizeof from && from.sin_family == AF_INET)
            take_question(arg, &from, question, (size_t)n);
    }
    return 0;
}

static bool asker_tick(struct asker *a, uint64_t now)
{
    if (a->used && now - a->used > (a->asked ? UDP_LIFE : UDP_QUIET)) {
        if (a->asked)
            resolvers_complain(resolvers_of(a), monotonic_usec());
        asker_free(a);
    } else if (a->used && a->asked && now - a->asked > UDP_PATIENCE &&
               !attempt_is_last(resolvers_of(a), &a->attempt)) {
        asker_ask_next(a); /* the last one may take its time */
    }
    return a->used != 0;
}

bool relay_udp_tick(struct relay_udp *udp, uint64_t now)
{
    bool busy = false;

    for (size_t i = 0; i < RELAY_UDP_MAX; i++)
        busy |= asker_tick(&udp->askers[i], now);
    return busy;
}

int relay_udp_start(struct relay *relay, int fd)
{
    struct relay_udp *udp = calloc(1, sizeof *udp);

    if (!udp)
        return -ENOMEM;
    udp->relay = relay;
    udp->fd = fd;
    for (size_t i = 0; i < RELAY_UDP_MAX; i++)
        udp->askers[i] = (struct asker){ .udp = udp, .fd = -1 };
    relay->udp = udp;
    return sd_event_add_io(relay->event, NULL, fd, EPOLLIN, on_question, udp);
}
