/* SPDX-License-Identifier: Apache-2.0 */
/* transport_varlink.c - the transport as an object, and whom it lets in.
 *
 * Whether somebody may connect is the core's decision. Who may not is told why in reply to
 * the first request, like everybody; but of those a few are kept, and the others are told
 * at once: a flood of connections costs four system calls each, and no memory.
 */
#include "transport_part.h"

#include "clock.h"
#include "fd.h"
#include "json_text.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Connections kept only to be told why not. */
#define REFUSED_MAX      256u
#define REFUSED_PER_USER 16u

DEFINE_AUTO(json_t *, json_decref);

/* ---- who is let in ---- */

/* The client finds this when it reads, even if it could not write any more. */
static void turn_away(int fd, const struct failure *why)
{
    AUTO(json_decref) json_t *error = status_message(status_from_errno(why->err), why->why);
    AUTO_FREE char *text = NULL;

    if (error && json_text(error, JSON_COMPACT, &text) == 0)
        (void)send(fd, text, strlen(text) + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool may_keep_refused(const struct transport *transport, const struct share *share)
{
    return transport->n_refused < REFUSED_MAX && share->refused < REFUSED_PER_USER;
}

static void on_accepted(void *arg, int fd, const struct peer_cred *cred)
{
    struct transport *transport = arg;
    struct failure why = { .err = -ENOMEM, .why = "the broker is short of memory: try again" };
    AUTO_FD sock = fd;
    struct share *share = share_join(&transport->shares, cred->uid, monotonic_usec());
    struct peer *peer = NULL;

    if (share)
        peer = transport->verbs->peer_new(transport->broker, cred, &why);
    if (!peer)
        log_user(cred->uid, LOG_LEVEL_INFO, "[peer pid %d uid %u] refused: %s", (int)cred->pid,
                 (unsigned)cred->uid, why.why);
    if (peer || (share && may_keep_refused(transport, share))) {
        connection_begin(transport, fd_take(&sock), cred, share, peer, &why);
        return;
    }
    turn_away(sock, &why);
    if (share)
        share_leave(share);
}

/* ---- the transport as an object ---- */

int transport_varlink_new(sd_event *event, const struct verbs *verbs, struct broker *broker,
                          const struct transport_about *about, struct transport **ret)
{
    struct transport *transport = calloc(1, sizeof *transport);
    if (!transport)
        return -ENOMEM;
    transport->event = event;
    transport->verbs = verbs;
    transport->broker = broker;
    transport->about = *about;
    TAILQ_INIT(&transport->connections);
    int r = rooms_open(transport);
    if (r == 0)
        r = routes_new(&transport->routes);
    if (r == 0)
        r = listeners_new(event, on_accepted, transport, &transport->listeners);
    if (r < 0) {
        transport_varlink_free(transport);
        return r;
    }
    *ret = transport;
    return 0;
}

void transport_varlink_free(struct transport *transport)
{
    if (!transport)
        return;
    while (!TAILQ_EMPTY(&transport->connections))
        connection_free(TAILQ_FIRST(&transport->connections));
    listeners_free(transport->listeners);
    rooms_close(transport);
    shares_clear(&transport->shares);
    routes_free(transport->routes);
    kept_reply_clear(&transport->acquired);
    free(transport);
}

int transport_varlink_listen(struct transport *transport, int fd)
{
    return listeners_add(transport->listeners, fd);
}

bool transport_varlink_shut(struct transport *transport)
{
    return listeners_shut(transport->listeners);
}

void transport_varlink_unlisten(struct transport *transport)
{
    listeners_close(transport->listeners);
}
