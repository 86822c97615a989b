/* SPDX-License-Identifier: Apache-2.0 */
/* netd.h - all that netd consists of: main.c has it, start_outside.c and start_inside.c make it. */
#pragma once
#include "forwards.h"
#include "hostside.h"
#include "keep.h"
#include "life.h"
#include "ops.h"
#include "options.h"
#include "place.h"

/* In the order of its making. */
struct netd {
    struct options options;
    struct place place;
    bool passed; /* the socket is somebody else's, who keeps it when we go */
    uid_t broker;
    struct uplink_user uplink;
    char netns_link[128];
    int listening, leash;
    int host_routes[UPLINKS_MAX];
    int forwarder; /* the connection to that of a dead netd */
    pid_t inside;  /* by whom we enter */
    struct journal_state *old;
    struct process anchor; /* pid 0: dead, but somebody else is inside */
    struct spawner *spawner;
    struct hostside *hostside; /* NULL: the user instance does nothing in the host */
    struct keep *keep;
    struct forwards *forwards;
    sd_event *event;
    struct link_ctx *links;
    struct nft *nft;
    struct journal *journal;
    struct uplinks *uplinks;
    struct networks *networks;
    struct server *server;
    struct life *life;
    struct ops_context ops;
};

/* What belongs to the host's namespace. 0, or a negative errno with words. */
int netd_start_outside(struct netd *nd, struct netd_why *why);
/* Enters the namespaces, keeps three capabilities over them, adopts what a dead netd has left,
 * and serves. 0, or a negative errno with words. */
int netd_start_inside(struct netd *nd, struct netd_why *why);
