/* SPDX-License-Identifier: Apache-2.0 */
/* uplink_part.h - what the rooms of the uplink share.
 *
 *   uplink.c          its life, and the host's routes
 *   uplink_attempt.c  an engine is started, watched, and started again
 *   uplink_tap.c      the TAP that the engine attaches to
 *   uplink_pulse.c    does an engine that lives also take packets?
 *   uplink_state.c    what broker, router and log are told
 *
 * uplink.c draws the phases. Whoever changes a field calls uplink_settle() afterwards:
 * state, rules and log follow from the fields.
 */
#pragma once
#include "engine.h"
#include "host_default.h"
#include "netd_msg.h"
#include "uplink.h"

#define MSEC 1000ull /* sd-event counts microseconds */

#define BACKOFF_MIN (100 * MSEC)
#define BACKOFF_MAX (10000 * MSEC)

enum uplink_phase { STOPPED, LOOKING, NO_ROUTE, STARTING, ATTACHED, WAITING };

struct uplink {
    struct uplink_setup setup;
    uplink_child_changed child_watch;
    void *child_watch_arg;
    unsigned slot; /* names.h; 0 follows the host's routes ... */

    enum uplink_phase phase;
    struct host_default host; /* ... the others an interface, which stands here */
    int link_sock;            /* hears of links in our namespace; also for ioctl() */
    int neighbour_sock;       /* hears that the engine does not answer */
    sd_event_source *host_source, *link_source, *neighbour_source, *child_source;
    sd_event_source *timer;  /* of the phase: attach, stable or back-off */
    sd_event_source *settle; /* the host's routes have been quiet */

    const struct engine *engine;
    struct child child;
    int ready;             /* read end of slirp4netns's --ready-fd: kept open, never read */
    bool engine4, engine6; /* the families that the host had when it started */
    uint32_t generation;
    uint64_t backoff;
    unsigned failures; /* in a row, without ever having attached */
    unsigned polls;    /* for the carrier, since the engine was started */
    unsigned busy;     /* tries in a row that found the TAP held by somebody */
    uint64_t asked;    /* when it did not answer and was asked again; 0: not yet */
    uint64_t taken;    /* packets that it had taken by then */
    int reach;         /* what the router was told last: bit 0 IPv4, bit 1 IPv6; -1: nothing */
    char why[NETD_WHY_SIZE - 16]; /* "": nothing is wrong that we know of */
    char state[NETD_WHY_SIZE];
};

/* ---- uplink.c */

/* uplink_disarm() takes NULL, too. */
void uplink_arm(sd_event_source *timer, uint64_t usec);
void uplink_disarm(sd_event_source *source);

/* ---- uplink_attempt.c */

/* Prepares everything for an engine and starts it. Whatever fails is tried again. */
void uplink_begin(struct uplink *u);
/* Ended or to be ended: afterwards there is none. */
void uplink_forget_engine(struct uplink *u);
/* It lives, and takes nothing: it is ended, and another one started. */
void uplink_engine_hangs(struct uplink *u);
/* The carrier may have come or gone. */
void uplink_check_carrier(struct uplink *u);
/* The timer of the phase has run out. */
void uplink_time_is_up(struct uplink *u);

/* ---- uplink_tap.c */

/* A socket that hears of our namespace: RTMGRP_..., as bits. */
int uplink_open_news(uint32_t groups);
/* Makes the TAP, or completes one that is there already: a dead netd may have left
 * it, and somebody inside may have deleted it. */
int uplink_prepare_tap(struct uplink *u);
/* Is somebody attached? */
bool uplink_has_carrier(const struct uplink *u);

/* ---- uplink_pulse.c */

/* From now on, of the TAP that there is. */
int uplink_watch_neighbour(struct uplink *u);
int uplink_on_neighbour(sd_event_source *source, int fd, uint32_t events, void *arg);

/* ---- uplink_state.c */

/* Once after every change of anything. */
void uplink_settle(struct uplink *u);
/* The same, but the router's rules stay as they are. */
void uplink_report(struct uplink *u);
