/* SPDX-License-Identifier: Apache-2.0 */
/* server_send.c - what a session is sent, and what of it has to wait.
 *
 * netd never waits for a broker that does not read. What its socket does not take at once stands
 * in a queue, with copies of the descriptors, since the caller closes his. The queue has an end,
 * and so has the session of whoever reaches it.
 */
#include "server_part.h"

#include "fd.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define QUEUE_MAX 8192u /* packets: an inventory of many networks, twice */

struct packet {
    struct packet *next;
    struct netd_msg msg;
    size_t len; /* of the body */
    size_t n_fds;
    int fds[NETD_QUEUES_MAX];
};

static void packet_free(struct packet *packet)
{
    for (size_t i = 0; i < packet->n_fds; i++)
        fd_closep(&packet->fds[i]);
    free(packet);
}

static int packet_new(const struct netd_header *header, const void *body, size_t len,
                      const int *fds, size_t n_fds, struct packet **ret)
{
    struct packet *packet = calloc(1, sizeof *packet);

    if (!packet)
        return -ENOMEM;
    packet->msg.header = *header;
    if (len > 0)
        memcpy(&packet->msg.body, body, len);
    packet->len = len;
    for (; packet->n_fds < n_fds; packet->n_fds++) {
        int copy = fcntl(fds[packet->n_fds], F_DUPFD_CLOEXEC, 3);

        if (copy < 0) {
            packet_free(packet);
            return -EMFILE;
        }
        packet->fds[packet->n_fds] = copy;
    }
    *ret = packet;
    return 0;
}

static void watch(struct session *session)
{
    uint32_t events = session->first ? EPOLLIN | EPOLLOUT : EPOLLIN;

    (void)sd_event_source_set_io_events(session->source, events);
}

static void enqueue(struct session *session, const struct netd_header *header, const void *body,
                    size_t len, const int *fds, size_t n_fds)
{
    struct packet *packet;

    if (session->queued >= QUEUE_MAX) {
        log_warning("[broker %d] does not read its answers: session ended", (int)session->pid);
        session_break(session);
        return;
    }
    if (packet_new(header, body, len, fds, n_fds, &packet) < 0) {
        log_error("[broker %d] no memory for an answer: session ended", (int)session->pid);
        session_break(session);
        return;
    }
    *session->last = packet;
    session->last = &packet->next;
    session->queued++;
    watch(session);
}

void session_send(struct session *session, const struct netd_header *header, const void *body,
                  size_t len, const int *fds, size_t n_fds)
{
    struct netd_msg msg = { .header = *header };
    int r = -EAGAIN;

    if (session->broken)
        return;
    if (len > 0)
        memcpy(&msg.body, body, len);
    if (!session->first) /* else it would overtake */
        r = netd_msg_send(session->fd, &msg, len, fds, n_fds);
    if (r == -EAGAIN)
        enqueue(session, header, body, len, fds, n_fds);
    else if (r < 0)
        session_break(session);
}

void session_flush(struct session *session)
{
    while (session->first && !session->broken) {
        struct packet *packet = session->first;
        int r = netd_msg_send(session->fd, &packet->msg, packet->len, packet->fds, packet->n_fds);

        if (r == -EAGAIN)
            break;
        if (r < 0)
            session_break(session);
        session->first = packet->next;
        if (!session->first)
            session->last = &session->first;
        session->queued--;
        packet_free(packet);
    }
    watch(session);
}

void session_drop_packets(struct session *session)
{
    while (session->first) {
        struct packet *packet = session->first;

        session->first = packet->next;
        packet_free(packet);
    }
}
