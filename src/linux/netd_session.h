/* SPDX-License-Identifier: Apache-2.0 */
/* netd_session.h - one connection to the helper: questions, answers, events.
 *
 * Knows the form of the conversation (wire/netd_msg.h), not its meaning. A question is
 * sent at once or when the socket has room, and is remembered until it is answered;
 * there are no time limits here, because a late answer must still be understood - a
 * late network must be removed, a late TAP closed. Whoever asked for a client has the
 * client's patience to watch, and forgets the client, not the question.
 */
#pragma once
#include "netd_msg.h"
#include "status.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct netd_session;

struct netd_answer {
    const struct netd_msg *msg;
    size_t body_len; /* 0: no body */
    bool more;       /* another answer to this question follows */
    int *fds;        /* take one by replacing it by -1; the rest is closed */
    size_t n_fds;
};

/* Called for each answer; with failure (then answer is NULL) for netd's refusal or the
 * end of the session, which is the last call for this question. */
typedef void (*netd_answered)(void *arg, const struct failure *failure,
                              const struct netd_answer *answer);

struct netd_session_events {
    void (*event)(void *arg, const struct netd_msg *msg);
    /* netd closed, or said something that makes no sense. Every question has been
     * failed before. The session does nothing any more; it may be freed here. */
    void (*ended)(void *arg, const struct failure *failure);
    void *arg;
};

/* fd: a connected non-blocking SEQPACKET socket, taken over on success. */
int netd_session_new(sd_event *event, int fd, const struct netd_session_events *events,
                     struct netd_session **ret);

/* Questions that wait are dropped without a call. NULL is fine. */
void netd_session_free(struct netd_session *session);

/* body: of netd_request_size(op) bytes, copied; NULL where that is 0. answered() is never
 * called from inside. -EBUSY: too many questions wait; -ENOTCONN: it has ended; -ENOMEM. */
int netd_session_ask(struct netd_session *session, uint16_t op, const void *body,
                     netd_answered answered, void *arg);

/* Without the event loop: waits at most until `deadline` (CLOCK_MONOTONIC) for the socket,
 * and handles what came. -ETIMEDOUT, or 0; ended() may have been called. */
int netd_session_turn(struct netd_session *session, uint64_t deadline_usec);

/* How long the oldest question waits, in microseconds; 0: none does. */
uint64_t netd_session_silence(const struct netd_session *session);
