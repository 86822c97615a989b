/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - netd's socket, and the sessions on it.
 *
 * netd serves one broker at a time, but outlives it: the next one connects, asks what
 * exists and goes on. Who misbehaves loses its session, and nobody else notices.
 */
#pragma once
#include "netd_msg.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct server;
struct session;

/* How far a session has come; ops.c says what is allowed when. */
enum phase {
    PHASE_HELLO = 1 << 0,    /* it has not said who it is                     */
    PHASE_LEARNING = 1 << 1, /* the broker of this netd; it asks what exists  */
    PHASE_SERVING = 1 << 2,
};

struct server_events {
    /* A well-formed request. Negative: end the session. */
    int (*request)(void *arg, struct session *session, const struct netd_msg *msg);
    /* A message of another version. Negative: end the session. */
    int (*other_version)(void *arg, struct session *session, const struct netd_header *header);
    /* The broker's session is over. */
    void (*broker_gone)(void *arg);
    /* Is who has connected the broker? 0 or a negative errno. NULL: our own user is. */
    int (*admit)(void *arg, int fd);
    /* server_listen() and server_unlisten() at our path, by somebody who still may. */
    int (*listen)(void *arg);
    void (*unlisten)(void *arg);
    void *arg;
};

/* A bound and listening socket; its directory is made where there is none, and a stale one of
 * a dead netd is replaced. */
int server_listen(const char *path);
int server_unlisten(const char *path);
/* fd: taken over. path: borrowed; NULL: nobody looks whether it is still there. */
int server_new(sd_event *event, int fd, const char *path, const struct server_events *events,
               struct server **ret);
void server_free(struct server *server);

/* The session of the broker, or NULL. One whose partner has closed does not count. */
struct session *server_broker(struct server *server);

enum phase session_phase(const struct session *session);
/* PHASE_LEARNING makes it the broker's. */
void session_set_phase(struct session *session, enum phase phase);
/* A number that no other session of this netd has, for answers that come later. */
uint64_t session_serial(const struct session *session);
struct session *session_find(struct server *server, uint64_t serial); /* NULL: it is over */

/* Queues what the socket does not take at once. fds: copied when they have to wait. A
 * partner that does not read loses its session. */
void session_send(struct session *session, const struct netd_header *header, const void *body,
                  size_t len, const int *fds, size_t n_fds);
