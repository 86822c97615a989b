/* SPDX-License-Identifier: Apache-2.0 */
/* uplink_attempt.c - an engine is started, watched, and started again.
 *
 * "Attached" is what the kernel says of the TAP (its carrier), not what the engine says
 * of itself. An engine is ended by SIGKILL: it has nothing to put away, its sockets close
 * by themselves, and nothing must wait for it.
 */
#include "uplink_part.h"

#include "fd.h"
#include "log.h"
#include "names.h"
#include "router.h"
#include "str.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define ATTACH_TIMEOUT (5000 * MSEC) /* measured: 20 to 70 ms */
#define ATTACH_POLL    (10 * MSEC)
#define STABLE_AFTER   (2000 * MSEC) /* then the next back-off begins at its minimum */

static void tell_child(struct uplink *u)
{
    if (u->child_watch)
        (void)u->child_watch(u->child_watch_arg, u->slot, uplink_child(u));
}

void uplink_forget_engine(struct uplink *u)
{
    if (u->child.pid == 0)
        return;
    u->child_source = sd_event_source_disable_unref(u->child_source);
    (void)child_signal(&u->child, SIGKILL);
    child_forget(&u->child);
    fd_closep(&u->ready);
    tell_child(u);
}

/* Until the next try. */
static void wait_and_retry(struct uplink *u)
{
    u->phase = WAITING;
    uplink_arm(u->timer, u->backoff);
    u->backoff = u->backoff * 2 < BACKOFF_MAX ? u->backoff * 2 : BACKOFF_MAX;
    uplink_settle(u);
}

static void attempt_failed(struct uplink *u, const char *what)
{
    /* The first failure may be bad luck; the second one is worth a word. */
    if (++u->failures >= 2)
        (void)snprintf(u->why, sizeof u->why, "%s %s; its reason is in the log", u->engine->name,
                       what);
    wait_and_retry(u);
}

static int on_child_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct uplink *u = arg;
    bool attached = u->phase == ATTACHED;

    (void)source, (void)fd, (void)events;
    log_warning("%s: %s (pid %d) has ended, starting it again in %u ms", uplink_link(u->slot),
                u->engine->name, (int)u->child.pid, (unsigned)(u->backoff / MSEC));
    uplink_forget_engine(u);
    if (attached)
        wait_and_retry(u);
    else
        attempt_failed(u, "ends as soon as it starts");
    return 0;
}

/* Any number that no earlier engine of this namespace had, even under another netd:
 * the marks of old flows outlive us both. */
static uint32_t next_generation(uint32_t last)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    uint32_t gen = (uint32_t)now.tv_sec * 1000u + (uint32_t)(now.tv_nsec / 1000000);
    return gen == last || gen == 0 ? last + 1 : gen;
}

static int write_down(void *arg, const struct child *child)
{
    const struct uplink *u = arg;

    return u->child_watch ? u->child_watch(u->child_watch_arg, u->slot, child) : 0;
}

static int run_engine(struct uplink *u)
{
    AUTO_FD ready = -1, ready_write = -1;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    ready = ends[0];
    ready_write = ends[1];
    int r = spawner_run(u->setup.spawner,
                        &(struct spawner_order){ .kind = u->engine->kind,
                                                 .network = u->slot,
                                                 .interface = u->host.interface,
                                                 .fds = &ready_write,
                                                 .n_fds = u->engine->n_fds,
                                                 .write_down = write_down,
                                                 .arg = u },
                        &u->child);
    if (r < 0)
        return r;
    u->ready = fd_take(&ready);
    return sd_event_add_io(u->setup.event, &u->child_source, u->child.pidfd, EPOLLIN, on_child_end,
                           u);
}

void uplink_check_carrier(struct uplink *u)
{
    if (u->phase == STARTING && uplink_has_carrier(u)) {
        u->phase = ATTACHED;
        u->failures = u->busy = 0;
        *u->why = '\0';
        uplink_arm(u->timer, STABLE_AFTER);
        uplink_settle(u);
    } else if (u->phase == ATTACHED && !uplink_has_carrier(u)) {
        /* It is about to end, or somebody deleted the TAP under it. */
        log_warning("%s: %s (pid %d) has let go of its TAP, starting it again in %u ms",
                    uplink_link(u->slot), u->engine->name, (int)u->child.pid,
                    (unsigned)(u->backoff / MSEC));
        uplink_forget_engine(u);
        wait_and_retry(u);
    }
}

void uplink_engine_hangs(struct uplink *u)
{
    log_warning("%s: %s (pid %d) lives but takes no packets, starting it again in %u ms",
                uplink_link(u->slot), u->engine->name, (int)u->child.pid,
                (unsigned)(u->backoff / MSEC));
    uplink_forget_engine(u);
    wait_and_retry(u);
}

/* Looked for at every start: somebody may have installed one, or a better one. */
static int choose_engine(struct uplink *u)
{
    const struct engine *engine;
    const char *why;
    int r = engine_choose(u->host.sock, u->slot > 0, &engine, &why);

    if (r < 0) {
        (void)str_copy(u->why, sizeof u->why, why);
        return r;
    }
    if (engine != u->engine)
        log_info("%s: using %s: %s", uplink_link(u->slot), engine->name, why);
    u->engine = engine;
    return 0;
}

/* No engine of ours runs. If the TAP has a carrier all the same, the last one is still
 * dying; or one of an earlier netd lives on, and loses its TAP. */
static bool tap_is_free(struct uplink *u)
{
    if (!uplink_has_carrier(u))
        return true;
    if (++u->busy < 5)
        return false;
    log_warning("%s: somebody unknown holds the TAP, making a new one", uplink_link(u->slot));
    (void)link_delete(u->setup.links, uplink_link(u->slot));
    return true;
}

void uplink_begin(struct uplink *u)
{
    int r = choose_engine(u);
    if (r < 0) {
        u->backoff = BACKOFF_MAX; /* somebody may install it meanwhile */
        wait_and_retry(u);
        return;
    }
    if (!tap_is_free(u)) {
        wait_and_retry(u);
        return;
    }
    r = uplink_prepare_tap(u);
    if (r == 0)
        r = uplink_watch_neighbour(u);
    if (r == 0) {
        u->generation = next_generation(u->generation);
        r = router_set_generation(u->setup.nft, u->slot, u->generation);
    }
    if (r == 0)
        r = router_set_limits(u->setup.nft, u->slot, u->engine->fragments, u->engine->icmpv6);
    if (r == 0)
        r = run_engine(u);
    if (r < 0) {
        log_failure(r, "%s: cannot start %s", uplink_link(u->slot), u->engine->name);
        uplink_forget_engine(u);
        attempt_failed(u, "cannot be started");
        return;
    }
    u->engine4 = u->host.ipv4;
    u->engine6 = u->host.ipv6;
    u->phase = STARTING;
    u->polls = 0;
    uplink_arm(u->timer, ATTACH_POLL);
    uplink_settle(u);
}

static void poll_carrier(struct uplink *u)
{
    uplink_check_carrier(u);
    if (u->phase != STARTING)
        return;
    if (++u->polls < ATTACH_TIMEOUT / ATTACH_POLL) {
        uplink_arm(u->timer, ATTACH_POLL);
        return;
    }
    log_warning("%s: %s does not attach to its TAP", uplink_link(u->slot), u->engine->name);
    uplink_forget_engine(u);
    attempt_failed(u, "does not attach to its TAP");
}

void uplink_time_is_up(struct uplink *u)
{
    if (u->phase == WAITING)
        uplink_begin(u);
    else if (u->phase == STARTING)
        poll_carrier(u);
    else if (u->phase == ATTACHED)
        u->backoff = BACKOFF_MIN;
}
