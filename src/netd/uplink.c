/* SPDX-License-Identifier: Apache-2.0 */
/* uplink.c - keeps the way out of a rootless namespace open.
 *
 *                  route                   carrier
 *    LOOKING --------------> STARTING ---------------> ATTACHED
 *       | no route           ^    ^  |                   |
 *       v           route    |    |  | ended, or no      | ended
 *    NO_ROUTE ---------------+    |  v carrier in time   v
 *                                 +---------- WAITING <--+
 *                               back-off over, or a route came
 *
 * The TAP is ours and persistent: while an engine dies and the next one starts,
 * addresses, routes, masqueraded ports and the long transmit queue stay, and a VM
 * notices a pause of a tenth of a second.
 *
 * A route or address of the host that changes is followed by the engines without
 * our help, so established connections are left alone. Only a family of addresses
 * that appears later needs a new engine, because pasta looks once, at its start.
 *
 * uplink_part.h lists the rooms.
 */
#include "uplink_part.h"

#include "fd.h"
#include "log.h"
#include "names.h"
#include "str.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define ROUTES_QUIET (200 * MSEC) /* a change of network is a burst of messages */

/* ---- timers and what else wakes us ----------------------------------------------------- */

void uplink_arm(sd_event_source *timer, uint64_t usec)
{
    if (sd_event_source_set_time_relative(timer, usec) < 0 ||
        sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT) < 0)
        log_warning("uplink: cannot set a timer");
}

void uplink_disarm(sd_event_source *source)
{
    if (source)
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source, (void)usec;
    uplink_time_is_up(arg);
    return 0;
}

static int on_link_change(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    char ignored[8192];

    (void)source, (void)events;
    /* What it says does not matter: we look ourselves, and a lost message loses nothing. */
    while (recv(fd, ignored, sizeof ignored, 0) > 0 || errno == ENOBUFS || errno == EINTR)
        ;
    uplink_check_carrier(arg);
    return 0;
}

/* ---- the host's routes ------------------------------------------------------------ */

/* We know what the host has. Is there something to start, or to start again? */
static void consider_routes(struct uplink *u)
{
    bool any = u->host.ipv4 || u->host.ipv6;
    bool more = (u->host.ipv4 && !u->engine4) || (u->host.ipv6 && !u->engine6);

    if (!any && u->child.pid == 0) {
        uplink_disarm(u->timer);
        u->phase = NO_ROUTE;
    } else if (any && u->child.pid == 0) {
        u->backoff = BACKOFF_MIN;
        uplink_begin(u);
    } else if (more) {
        log_info("%s: the host can reach more than before, starting %s again", uplink_link(u->slot),
                 u->engine->name);
        uplink_forget_engine(u);
        uplink_begin(u);
    }
    uplink_settle(u);
}

/* An engine whose interface has gone would use the host's other ones. It is ended at once,
 * before anything is asked. */
static void interface_gone(struct uplink *u)
{
    log_warning("%s: the host's interface '%s' has gone", uplink_link(u->slot), u->host.interface);
    uplink_forget_engine(u);
    uplink_disarm(u->timer);
    u->host.ipv4 = u->host.ipv6 = false;
    u->phase = NO_ROUTE;
    uplink_settle(u);
}

static int on_host_routes(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct uplink *u = arg;
    int on = SD_EVENT_OFF;

    (void)source, (void)fd, (void)events;
    unsigned news = host_default_read(&u->host);
    if (u->child.pid != 0 && !host_default_has_interface(&u->host))
        interface_gone(u);
    if (news & HOST_DEFAULT_CHANGED) {
        (void)sd_event_source_get_enabled(u->settle, &on);
        if (on == SD_EVENT_OFF) /* not pushed back again: a flapping route must not hide */
            uplink_arm(u->settle, ROUTES_QUIET);
    }
    if (news & HOST_DEFAULT_KNOWN)
        consider_routes(u);
    return 0;
}

static int on_settled(sd_event_source *source, uint64_t usec, void *arg)
{
    struct uplink *u = arg;

    (void)source, (void)usec;
    int r = host_default_ask(&u->host);
    if (r < 0)
        log_failure(r, "%s: cannot ask for the host's routes", uplink_link(u->slot));
    return 0;
}

int uplink_open_host_routes(void)
{
    return host_default_open();
}

/* ---- life -------------------------------------------------------------------------- */

static int add_sources(struct uplink *u)
{
    int r =
        sd_event_add_io(u->setup.event, &u->host_source, u->host.sock, EPOLLIN, on_host_routes, u);
    if (r >= 0)
        r = sd_event_add_io(u->setup.event, &u->link_source, u->link_sock, EPOLLIN, on_link_change,
                            u);
    if (r >= 0)
        r = sd_event_add_io(u->setup.event, &u->neighbour_source, u->neighbour_sock, EPOLLIN,
                            uplink_on_neighbour, u);
    if (r >= 0)
        r = sd_event_add_time_relative(u->setup.event, &u->timer, CLOCK_BOOTTIME, 0, MSEC, on_timer,
                                       u);
    if (r >= 0)
        r = sd_event_add_time_relative(u->setup.event, &u->settle, CLOCK_BOOTTIME, 0, MSEC,
                                       on_settled, u);
    if (r >= 0) /* an engine whose interface has gone must not wait for others to be served */
        r = sd_event_source_set_priority(u->host_source, SD_EVENT_PRIORITY_IMPORTANT);
    if (r < 0)
        return r;
    uplink_disarm(u->host_source);
    uplink_disarm(u->link_source);
    uplink_disarm(u->neighbour_source);
    uplink_disarm(u->timer);
    uplink_disarm(u->settle);
    return 0;
}

int uplink_new(const struct uplink_setup *setup, unsigned slot, int host_routes,
               struct uplink **ret)
{
    struct uplink *u = calloc(1, sizeof *u);
    int r = -ENOMEM;

    if (u) {
        u->setup = *setup;
        u->slot = slot;
        u->host.sock = u->ready = u->child.pidfd = u->reach = -1;
        (void)str_copy(u->state, sizeof u->state, "none");
        u->neighbour_sock = -1;
        r = u->link_sock = uplink_open_news(RTMGRP_LINK);
    }
    if (r >= 0)
        r = u->neighbour_sock = uplink_open_news(RTMGRP_NEIGH);
    if (r >= 0)
        r = host_default_init(&u->host, host_routes);
    if (r >= 0)
        r = add_sources(u);
    if (r < 0) {
        if (u)
            u->host.sock = -1; /* still the caller's */
        uplink_free(u);
        return r;
    }
    *ret = u;
    return 0;
}

int uplink_start(struct uplink *u, const char *interface)
{
    if (u->phase != STOPPED)
        return 0;

    host_default_set_interface(&u->host, interface);
    int r = uplink_prepare_tap(u);
    if (r < 0)
        return log_failure(r, "%s: cannot make the TAP", uplink_link(u->slot));
    r = host_default_ask(&u->host);
    if (r < 0)
        return log_failure(r, "%s: cannot ask for the host's routes", uplink_link(u->slot));

    u->phase = LOOKING;
    u->backoff = BACKOFF_MIN;
    u->failures = 0;
    *u->why = '\0';
    (void)sd_event_source_set_enabled(u->host_source, SD_EVENT_ON);
    (void)sd_event_source_set_enabled(u->link_source, SD_EVENT_ON);
    (void)sd_event_source_set_enabled(u->neighbour_source, SD_EVENT_ON);
    uplink_report(u);
    return 0;
}

void uplink_stop(struct uplink *u)
{
    if (!u || u->phase == STOPPED)
        return;
    u->phase = STOPPED;
    uplink_disarm(u->host_source);
    uplink_disarm(u->link_source);
    uplink_disarm(u->neighbour_source);
    uplink_disarm(u->timer);
    uplink_disarm(u->settle);
    uplink_forget_engine(u);
    u->engine = NULL;

    int r = link_delete(u->setup.links, uplink_link(u->slot));
    if (r < 0 && r != -ENODEV)
        log_failure(r, "%s: cannot delete the TAP", uplink_link(u->slot));
    uplink_report(u);
}

void uplink_free(struct uplink *u)
{
    if (!u)
        return;
    uplink_stop(u);
    sd_event_source_disable_unref(u->host_source);
    sd_event_source_disable_unref(u->link_source);
    sd_event_source_disable_unref(u->neighbour_source);
    sd_event_source_disable_unref(u->timer);
    sd_event_source_disable_unref(u->settle);
    host_default_close(&u->host);
    fd_closep(&u->link_sock);
    fd_closep(&u->neighbour_sock);
    free(u);
}

const char *uplink_engine(const struct uplink *u)
{
    return u->engine ? u->engine->name : "none";
}

const char *uplink_state(const struct uplink *u)
{
    return u->state;
}

const char *uplink_interface(const struct uplink *u)
{
    return u->host.interface;
}

const struct child *uplink_child(const struct uplink *u)
{
    return u->child.pid > 0 ? &u->child : NULL;
}

void uplink_set_child_watch(struct uplink *u, uplink_child_changed child, void *arg)
{
    u->child_watch = child;
    u->child_watch_arg = arg;
}
