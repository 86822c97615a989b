/* SPDX-License-Identifier: Apache-2.0 */
/* uplink.h - the way out of a user instance: an engine outside the namespace.
 *
 * netd makes and addresses a persistent TAP, so that routes outlive the engine;
 * the engine (pasta or slirp4netns, engine.h) attaches to it from outside. It is
 * watched, restarted with back-off, and restarted when the host's routes change.
 */
#pragma once
#include "link.h"
#include "nft.h"
#include "spawner.h"

#include <systemd/sd-event.h>

struct uplink;

/* interface: of the host's, "": by its routes. state: "checking", "ok", "failed: why". All are
 * valid during the call. */
typedef void (*uplink_changed)(void *arg, const char *interface, const char *engine,
                               const char *state);
typedef int (*uplink_child_changed)(void *arg, unsigned slot, const struct child *child);

/* What an uplink works with. All of it is borrowed. */
struct uplink_setup {
    sd_event *event;
    struct link_ctx *links;
    struct nft *nft;
    struct spawner *spawner;
    unsigned main_slot; /* names.h */
    uplink_changed changed;
    void *arg;
};

/* slot: which one it is (names.h). host_routes: an rtnetlink socket opened in the host's namespace
 * and subscribed to route, address and link changes (taken over). Starts nothing. */
int uplink_new(const struct uplink_setup *setup, unsigned slot, int host_routes,
               struct uplink **ret);
/* Made when the first shared network appears, idempotent; ended when the last goes. interface:
 * by which it leaves the host; "" for slot 0. */
int uplink_start(struct uplink *uplink, const char *interface);
void uplink_stop(struct uplink *uplink);
void uplink_free(struct uplink *uplink);
const char *uplink_engine(const struct uplink *uplink); /* "none" while stopped */
const char *uplink_state(const struct uplink *uplink);
const char *uplink_interface(const struct uplink *uplink); /* "": by the host's routes */
/* In the host's namespace, before netd enters its own: the socket for uplink_new(). */
int uplink_open_host_routes(void);
/* The engine that runs, for the journal; NULL while none does. */
const struct child *uplink_child(const struct uplink *uplink);
/* Told whenever that child changes, before it can do anything. Negative: it may not. */
void uplink_set_child_watch(struct uplink *uplink, uplink_child_changed child, void *arg);
