/* SPDX-License-Identifier: Apache-2.0 */
/* life.c - see life.h. */
#include "life.h"

#include "log.h"
#include "mem.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#define SECOND 1000000ull

struct life {
    sd_event *event;
    struct networks *networks;
    struct server *server;
    uint32_t timeout_sec;
    sd_event_source *idle; /* NULL: somebody needs us */
    sd_event_source *term, *interrupt;
};

static bool needed(const struct life *life)
{
    return networks_busy(life->networks) || networks_stranded(life->networks, NULL, NULL);
}

int life_leave(struct life *life, struct netd_why *why)
{
    const struct netd_interface *busy = networks_busy(life->networks);
    int r;

    if (busy)
        return why_refused(why, -EBUSY, "network '%s': TAP %s is in use", busy->network, busy->tap);
    if (networks_stranded(life->networks, NULL, NULL))
        return why_refused(why, -EBUSY, "VMs that have lost their network still use its addresses");
    r = networks_remove_all(life->networks, why);
    (void)sd_event_exit(life->event, r < 0 ? LIFE_UNFINISHED : LIFE_CLEAN);
    return r;
}

static void leave_and_log(struct life *life)
{
    struct netd_why why = { 0 };

    if (life_leave(life, &why) < 0)
        log_error("while leaving: %s", why.why);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *arg)
{
    struct life *life = arg;

    (void)source;
    (void)usec;
    life->idle = sd_event_source_disable_unref(life->idle);
    log_info("no broker and no TAP in use: leaving");
    leave_and_log(life);
    return 0;
}

void life_make_way(struct life *life, const char *why)
{
    if (needed(life)) {
        log_info("%s while TAPs are in use: the next netd adopts them", why);
        (void)sd_event_exit(life->event, LIFE_ADOPT);
    } else {
        log_info("%s: leaving", why);
        leave_and_log(life);
    }
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
    struct life *life = arg;

    (void)source;
    (void)info;
    life_make_way(life, "a signal ends us");
    return 0;
}

static uint64_t timeout_usec(const struct life *life)
{
    uint32_t networks = networks_idle_timeout(life->networks);

    return SECOND * (networks > life->timeout_sec ? networks : life->timeout_sec);
}

void life_consider(struct life *life)
{
    int r;

    if (server_broker(life->server) || needed(life)) {
        life->idle = sd_event_source_disable_unref(life->idle);
        return;
    }
    if (life->idle)
        return;
    r = sd_event_add_time_relative(life->event, &life->idle, CLOCK_BOOTTIME, timeout_usec(life),
                                   SECOND / 10, on_idle, life);
    if (r < 0)
        (void)log_failure(r, "cannot set the idle timer; this netd will not end by itself");
}

void life_set_timeout(struct life *life, uint32_t timeout_sec)
{
    life->timeout_sec = timeout_sec;
}

int life_new(sd_event *event, struct networks *networks, struct server *server,
             uint32_t timeout_sec, struct life **ret)
{
    struct life *life = calloc(1, sizeof *life);
    int r;

    if (!life)
        return -ENOMEM;
    *life = (struct life){
        .event = event, .networks = networks, .server = server, .timeout_sec = timeout_sec
    };
    r = sd_event_add_signal(event, &life->term, SIGTERM, on_signal, life);
    if (r >= 0)
        r = sd_event_add_signal(event, &life->interrupt, SIGINT, on_signal, life);
    if (r < 0) {
        life_free(life);
        return r;
    }
    life_consider(life);
    *ret = life;
    return 0;
}

void life_free(struct life *life)
{
    if (!life)
        return;
    sd_event_source_disable_unref(life->idle);
    sd_event_source_disable_unref(life->term);
    sd_event_source_disable_unref(life->interrupt);
    free(life);
}
