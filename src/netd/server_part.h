/* SPDX-License-Identifier: Apache-2.0 */
/* server_part.h - what the rooms of netd's socket share.
 *
 *   server.c           the socket, and who may connect to it
 *   server_session.c   a session: begins, brings requests, ends
 *   server_send.c      what a session is sent, and what of it has to wait
 */
#pragma once
#include "server.h"

#include <stddef.h>
#include <sys/types.h>

struct packet;

struct session {
    struct session *next;
    struct server *server;
    int fd;
    sd_event_source *source;
    uint64_t serial;
    enum phase phase;
    pid_t pid;                    /* for the log */
    struct packet *first, **last; /* they wait to be sent */
    unsigned queued;
    bool broken; /* over as soon as we are back in the loop */
};

struct server {
    sd_event *event;
    int fd;
    const char *path;
    sd_event_source *source, *pause;
    struct path_watch *watch;
    struct server_events events;
    struct session *sessions, *broker;
    unsigned n_sessions;
    uint64_t serial;
};

/* ---- server_session.c -------------------------------------------------------------- */

/* fd: taken over on success. pid: for the log. */
int session_new(struct server *server, int fd, pid_t pid);
/* Ends it from inside the loop, where nobody holds a pointer to it. */
void session_break(struct session *session);
/* At once; nobody is told. */
void session_free(struct session *session);

/* ---- server_send.c ----------------------------------------------------------------- */

/* What waits is sent as far as the socket takes it. */
void session_flush(struct session *session);
/* What waits will never be sent. */
void session_drop_packets(struct session *session);
