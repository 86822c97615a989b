/* SPDX-License-Identifier: Apache-2.0 */
#include "lifecycle.h"

#include <assert.h>

static const char *const names[] = {
    [NET_GONE] = "gone", [NET_CREATING] = "creating", [NET_READY] = "ready",
    [NET_IDLE] = "idle", [NET_REMOVING] = "removing", [NET_STUCK] = "removing",
};
static_assert(sizeof names / sizeof *names == NET_STATES, "every state has a name");

/* A cell left out is {NET_GONE, ACT_BUG}: the pair is impossible. */
static const struct net_step table[NET_STATES][NET_EVENTS] = {
    [NET_GONE] = {
        [EV_ACQUIRE]          = { NET_CREATING, ACT_CREATE },
        [EV_FOUND]            = { NET_READY,    ACT_NOTHING },
        [EV_FOUND_UNUSED]     = { NET_IDLE,     ACT_START_TIMER },
        /* A connection closes while those that waited are told of the failure. */
        [EV_LAST_LEFT]        = { NET_GONE,     ACT_NOTHING },
    },
    [NET_CREATING] = {
        [EV_ACQUIRE]          = { NET_CREATING, ACT_WAIT },
        [EV_IN_USE]           = { NET_CREATING, ACT_NOTHING },
        [EV_LAST_LEFT]        = { NET_CREATING, ACT_NOTHING },
        [EV_CREATED]          = { NET_READY,    ACT_ANSWER },
        [EV_CREATED_UNWANTED] = { NET_IDLE,     ACT_START_TIMER },
        [EV_CREATE_FAILED]    = { NET_GONE,     ACT_REFUSE },
        /* The outcome of building it is still to come, and will say so too. */
        [EV_LOST]             = { NET_CREATING, ACT_NOTHING },
    },
    [NET_READY] = {
        [EV_ACQUIRE]          = { NET_READY,    ACT_ANSWER },
        [EV_LAST_LEFT]        = { NET_IDLE,     ACT_START_TIMER },
        [EV_LOST]             = { NET_GONE,     ACT_FORGET },
    },
    [NET_IDLE] = {
        [EV_ACQUIRE]          = { NET_READY,    ACT_RESUME },
        [EV_IN_USE]           = { NET_READY,    ACT_RESUME },
        [EV_TIMEOUT]          = { NET_REMOVING, ACT_REMOVE },
        [EV_LOST]             = { NET_GONE,     ACT_FORGET },
    },
    [NET_REMOVING] = {
        /* Too late to keep it: let it go, then build it afresh. */
        [EV_ACQUIRE]          = { NET_REMOVING, ACT_WAIT },
        [EV_IN_USE]           = { NET_REMOVING, ACT_NOTHING },
        [EV_LAST_LEFT]        = { NET_REMOVING, ACT_NOTHING },
        [EV_REMOVED]          = { NET_GONE,     ACT_FORGET },
        [EV_REMOVED_WANTED]   = { NET_CREATING, ACT_CREATE },
        [EV_REMOVE_FAILED]    = { NET_STUCK,    ACT_RETRY_LATER },
        /* The outcome of removing it is still to come. */
        [EV_LOST]             = { NET_REMOVING, ACT_NOTHING },
    },
    [NET_STUCK] = {
        [EV_ACQUIRE]          = { NET_REMOVING, ACT_REMOVE },
        [EV_IN_USE]           = { NET_STUCK,    ACT_NOTHING },
        [EV_LAST_LEFT]        = { NET_STUCK,    ACT_NOTHING },
        [EV_TIMEOUT]          = { NET_REMOVING, ACT_REMOVE },
        [EV_LOST]             = { NET_GONE,     ACT_FORGET },
    },
};

struct net_step lifecycle_step(enum net_state now, enum net_event ev)
{
    assert(now < NET_STATES && ev < NET_EVENTS);
    return table[now][ev];
}

const char *net_state_name(enum net_state s)
{
    return s < NET_STATES ? names[s] : "?";
}
