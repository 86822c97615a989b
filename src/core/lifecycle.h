/* SPDX-License-Identifier: Apache-2.0 */
/* lifecycle.h - the life of one shared network, as a pure table.
 *
 *            acquire              created            last user left
 *   GONE ------------> CREATING ----------> READY <----------------> IDLE
 *     ^                   |                          acquire          |
 *     |   create failed   |                                           | timeout
 *     +-------------------+                                           v
 *     +----------------------- removed --------------------------- REMOVING
 *                                                     remove failed   |  ^
 *                                                                     v  | timeout, acquire
 *                                                                   STUCK
 *
 * A user is a connection that holds or awaits the network, or an interface of
 * it that is still open in some process. From every state in which it exists a
 * network can also be lost: the backend says that it is gone unasked. After a
 * removal that failed nobody knows what is left, so a stuck network is never
 * lent: it is removed again, later or when somebody asks, and then built afresh.
 *
 * Nothing here touches the kernel, the clock or a socket: lifecycle_step() only
 * says which state comes next and what the caller has to do about it.
 */
#pragma once

enum net_state { NET_GONE, NET_CREATING, NET_READY, NET_IDLE, NET_REMOVING, NET_STUCK, NET_STATES };

enum net_event {
    EV_ACQUIRE,          /* a connection asks for the network                          */
    EV_IN_USE,           /* an interface came alive where there was no user            */
    EV_LAST_LEFT,        /* the last user has gone                                     */
    EV_CREATED,          /* the backend built it, and it has users                     */
    EV_CREATED_UNWANTED, /* the backend built it, but everybody has gone               */
    EV_CREATE_FAILED,    /* the backend could not build it                             */
    EV_TIMEOUT,          /* the timer fired, or somebody asked us to tidy up           */
    EV_REMOVED,          /* the backend took it down, nobody waits                     */
    EV_REMOVED_WANTED,   /* the backend took it down, and somebody waits               */
    EV_REMOVE_FAILED,    /* the backend could not take it down                         */
    EV_LOST,             /* the backend lost it                                        */
    EV_FOUND,            /* the backend had it before we came, with live interfaces    */
    EV_FOUND_UNUSED,     /* the backend had it before we came, and nobody uses it      */
    NET_EVENTS
};

enum net_action {
    ACT_BUG = 0, /* this event cannot happen in this state                         */
    ACT_NOTHING,
    ACT_WAIT,        /* the connection stays parked until one of the answers below */
    ACT_CREATE,      /* ask the backend to build                                   */
    ACT_ANSWER,      /* give the network to every parked connection                */
    ACT_REFUSE,      /* give the error to every parked connection, then forget     */
    ACT_START_TIMER, /* the idle timer                                             */
    ACT_RESUME,      /* stop the timer, give the network to who is parked, if any  */
    ACT_REMOVE,      /* stop the timer, ask the backend to take it down            */
    ACT_RETRY_LATER, /* give the error to who is parked, if any; start the timer   */
    ACT_FORGET,      /* take it from whoever holds it, drop the entry              */
};

struct net_step {
    enum net_state next;
    enum net_action act;
};

struct net_step lifecycle_step(enum net_state now, enum net_event ev);

/* What clients see: "creating", "ready", "idle", "removing" (which a stuck network
 * still is, to them). */
const char *net_state_name(enum net_state s);
