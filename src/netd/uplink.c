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
 * notices a pause of a tenth of a second. "Attached" is what the kernel says of the
 * TAP (its carrier), not what the engine says of itself.
 *
 * A route or address of the host that changes is followed by the engines without
 * our help, so established connections are left alone. Only a family of addresses
 * that appears later needs a new engine, because pasta looks once, at its start.
 *
 * An engine is ended by SIGKILL: it has nothing to put away, its sockets close by
 * themselves, and nothing must wait for it.
 */
#include "uplink.h"

#include "engine.h"
#include "fd.h"
#include "host_default.h"
#include "log.h"
#include "mem.h"
#include "netd_msg.h"
#include "router.h"
#include "str.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define MSEC 1000ull /* sd-event counts microseconds */

/* A window of 1500-byte frames overflows the default ring of 1000 frames, and the
 * engine sees losses: 1.9 Gbit/s up, with this length 7.8 and no retransmission. */
#define QUEUE_FRAMES 20000

#define BACKOFF_MIN    (100 * MSEC)
#define BACKOFF_MAX    (10000 * MSEC)
#define ATTACH_TIMEOUT (5000 * MSEC) /* measured: 20 to 70 ms */
#define ATTACH_POLL    (10 * MSEC)
#define STABLE_AFTER   (2000 * MSEC) /* then the next back-off begins at its minimum */
#define ROUTES_QUIET   (200 * MSEC)  /* a change of network is a burst of messages */

enum phase { STOPPED, LOOKING, NO_ROUTE, STARTING, ATTACHED, WAITING };

struct uplink {
    sd_event *event; /* this and the next three: borrowed */
    struct link_ctx *links;
    struct nft *nft;
    struct spawner *spawner;
    uplink_changed changed;
    void *changed_arg;
    void (*child_watch)(void *arg, const struct child *child);
    void *child_watch_arg;

    enum phase phase;
    struct host_default host;
    int link_sock; /* hears of links in our namespace; also for ioctl() */
    sd_event_source *host_source, *link_source, *child_source;
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
    int reach;         /* what the router was told last: bit 0 IPv4, bit 1 IPv6; -1: nothing */
    char why[NETD_WHY_SIZE - 16]; /* "": nothing is wrong that we know of */
    char state[NETD_WHY_SIZE];
};

static void begin(struct uplink *u);

/* ---- what the world is told ------------------------------------------------------ */

static void compose_state(const struct uplink *u, char *text, size_t size)
{
    if (u->phase == STOPPED)
        (void)str_copy(text, size, "none");
    else if (u->phase != LOOKING && !u->host.ipv4 && !u->host.ipv6)
        (void)str_copy(text, size, "failed: the host has no default route");
    else if (*u->why)
        (void)snprintf(text, size, "failed: %s", u->why);
    else
        (void)str_copy(text, size, u->phase == ATTACHED ? "ok" : "checking");
}

/* Once after every change of anything: state, rules and log follow from the fields. */
static void report(struct uplink *u)
{
    char text[sizeof u->state];
    bool broken;

    compose_state(u, text, sizeof text);
    if (strcmp(text, u->state) == 0)
        return;
    (void)str_copy(u->state, sizeof u->state, text);
    broken = strncmp(text, "failed", 6) == 0;
    if (broken)
        log_warning("uplink: %s", text);
    else
        log_info("uplink: %s", text);
    u->changed(u->changed_arg, uplink_engine(u), u->state);
}

/* Guests hear "unreachable" at once for what cannot work. A restart is no such case:
 * it is over before they would have given up. */
static void set_reach(struct uplink *u)
{
    bool alive = *u->why == '\0';
    int reach = alive ? u->host.ipv4 | u->host.ipv6 << 1 : 0;

    if (reach == u->reach)
        return;
    if (router_set_reach(u->nft, reach & 1, reach & 2) < 0)
        log_warning("uplink: cannot change the router's rules: %s", nft_error(u->nft));
    else
        u->reach = reach;
}

static void settle_down(struct uplink *u)
{
    set_reach(u);
    report(u);
}

/* ---- timers ---------------------------------------------------------------------- */

static void arm(sd_event_source *timer, uint64_t usec)
{
    if (sd_event_source_set_time_relative(timer, usec) < 0 ||
        sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT) < 0)
        log_warning("uplink: cannot set a timer");
}

static void disarm(sd_event_source *source)
{
    if (source)
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

/* ---- the TAP ---------------------------------------------------------------------- */

static int there_already(int r)
{
    return r == -EEXIST ? 0 : r;
}

static int address_tap(struct uplink *u, const struct engine *e)
{
    /* The kernel would make one up to a second after the first carrier, and until then
     * cannot ask who the router is. */
    static const uint8_t link_local[16] = { 0xfe, 0x80, [15] = 0x64 };

    int r = there_already(link_add_addr4(u->links, UPLINK_LINK, e->ipv4, e->ipv4_prefix));
    if (r == 0)
        r = there_already(link_add_addr6(u->links, UPLINK_LINK, link_local, 64));
    if (r == 0)
        r = there_already(link_add_addr6(u->links, UPLINK_LINK, e->ipv6_addr, e->ipv6_len));
    if (r == 0)
        r = link_set_up(u->links, UPLINK_LINK);
    if (r == 0)
        r = there_already(link_add_default4(u->links, UPLINK_LINK, e->ipv4_gateway));
    if (r == 0)
        r = there_already(link_add_default6(u->links, UPLINK_LINK, e->ipv6_gateway));
    return r;
}

static int set_knobs(void)
{
    static const struct {
        const char *name, *value;
    } knobs[] = {
        { "ipv6/conf/" UPLINK_LINK "/accept_ra", "0" }, /* we address it ourselves */
        { "ipv6/conf/" UPLINK_LINK "/accept_dad", "0" },
        { "ipv6/conf/" UPLINK_LINK "/addr_gen_mode", "1" }, /* none of its own making */
        { "ipv4/conf/" UPLINK_LINK "/forwarding", "1" },
        { "ipv6/conf/all/forwarding", "1" }, /* IPv6 has no finer one */
    };

    for (size_t i = 0; i < N_ELEMENTS(knobs); i++) {
        int r = sysctl_set(knobs[i].name, knobs[i].value);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    return 0;
}

/* Makes the TAP, or completes one that is there already: a dead netd may have left
 * it, and somebody inside may have deleted it. */
static int prepare_tap(struct uplink *u, const struct engine *engine)
{
    int tap = -1, r = 0;

    if (if_nametoindex(UPLINK_LINK) == 0)
        r = tap_create(UPLINK_LINK, 1, false, true, &tap);
    fd_closep(&tap); /* at once: our own end would count as a carrier */
    if (r == 0)
        r = set_knobs();
    if (r == 0)
        r = link_set_port(u->links, UPLINK_LINK, NULL, false, ENGINE_MTU, 0);
    if (r == 0)
        r = link_set_txqueuelen(u->links, UPLINK_LINK, QUEUE_FRAMES);
    if (r == 0)
        r = address_tap(u, engine);
    return r;
}

/* Is somebody attached? IFF_RUNNING and the kernel's messages say so, too, but up to a
 * second late; in our own namespace anybody may ask like this. */
static bool has_carrier(const struct uplink *u)
{
    struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
    struct ifreq req = { .ifr_name = UPLINK_LINK, .ifr_data = (char *)&link };

    return ioctl(u->link_sock, SIOCETHTOOL, &req) == 0 && link.data;
}

/* ---- the engine ------------------------------------------------------------------- */

static void tell_child(struct uplink *u)
{
    if (u->child_watch)
        u->child_watch(u->child_watch_arg, uplink_child(u));
}

/* Ended or to be ended: afterwards there is none. */
static void forget_engine(struct uplink *u)
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
    arm(u->timer, u->backoff);
    u->backoff = u->backoff * 2 < BACKOFF_MAX ? u->backoff * 2 : BACKOFF_MAX;
    settle_down(u);
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
    log_warning("uplink: %s (pid %d) has ended, starting it again in %u ms", u->engine->name,
                (int)u->child.pid, (unsigned)(u->backoff / MSEC));
    forget_engine(u);
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

static int run_engine(struct uplink *u)
{
    AUTO_FD ready = -1, ready_write = -1;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    ready = ends[0];
    ready_write = ends[1];
    int r = spawner_run(u->spawner, u->engine->kind, 0, &ready_write, u->engine->n_fds, &u->child);
    if (r < 0)
        return r;
    u->ready = fd_take(&ready);
    tell_child(u);
    return sd_event_add_io(u->event, &u->child_source, u->child.pidfd, EPOLLIN, on_child_end, u);
}

static void check_carrier(struct uplink *u)
{
    if (u->phase == STARTING && has_carrier(u)) {
        u->phase = ATTACHED;
        u->failures = u->busy = 0;
        *u->why = '\0';
        arm(u->timer, STABLE_AFTER);
        settle_down(u);
    } else if (u->phase == ATTACHED && !has_carrier(u)) {
        /* It is about to end, or somebody deleted the TAP under it. */
        log_warning("uplink: %s (pid %d) has let go of its TAP, starting it again in %u ms",
                    u->engine->name, (int)u->child.pid, (unsigned)(u->backoff / MSEC));
        forget_engine(u);
        wait_and_retry(u);
    }
}

/* Looked for at every start: somebody may have installed one, or a better one. */
static int choose_engine(struct uplink *u)
{
    const struct engine *engine;
    const char *why;
    int r = engine_choose(u->host.sock, &engine, &why);

    if (r < 0) {
        (void)str_copy(u->why, sizeof u->why, why);
        return r;
    }
    if (engine != u->engine)
        log_info("uplink: using %s: %s", engine->name, why);
    u->engine = engine;
    return 0;
}

/* No engine of ours runs. If the TAP has a carrier all the same, the last one is still
 * dying; or one of an earlier netd lives on, and loses its TAP. */
static bool tap_is_free(struct uplink *u)
{
    if (!has_carrier(u))
        return true;
    if (++u->busy < 5)
        return false;
    log_warning("uplink: somebody unknown holds the TAP '%s', making a new one", UPLINK_LINK);
    (void)link_delete(u->links, UPLINK_LINK);
    return true;
}

/* Prepares everything for an engine and starts it. Whatever fails is tried again. */
static void begin(struct uplink *u)
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
    r = prepare_tap(u, u->engine);
    if (r == 0) {
        u->generation = next_generation(u->generation);
        r = router_set_generation(u->nft, u->generation);
    }
    if (r == 0)
        r = router_set_limits(u->nft, u->engine->fragments, u->engine->icmpv6);
    if (r == 0)
        r = run_engine(u);
    if (r < 0) {
        log_failure(r, "uplink: cannot start %s", u->engine->name);
        forget_engine(u);
        attempt_failed(u, "cannot be started");
        return;
    }
    u->engine4 = u->host.ipv4;
    u->engine6 = u->host.ipv6;
    u->phase = STARTING;
    u->polls = 0;
    arm(u->timer, ATTACH_POLL);
    settle_down(u);
}

static void poll_carrier(struct uplink *u)
{
    check_carrier(u);
    if (u->phase != STARTING)
        return;
    if (++u->polls < ATTACH_TIMEOUT / ATTACH_POLL) {
        arm(u->timer, ATTACH_POLL);
        return;
    }
    log_warning("uplink: %s does not attach to its TAP", u->engine->name);
    forget_engine(u);
    attempt_failed(u, "does not attach to its TAP");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
    struct uplink *u = arg;

    (void)source, (void)usec;
    if (u->phase == WAITING)
        begin(u);
    else if (u->phase == STARTING)
        poll_carrier(u);
    else if (u->phase == ATTACHED)
        u->backoff = BACKOFF_MIN;
    return 0;
}

static int on_link_change(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    char ignored[8192];

    (void)source, (void)events;
    /* What it says does not matter: we look ourselves, and a lost message loses nothing. */
    while (recv(fd, ignored, sizeof ignored, 0) > 0 || errno == ENOBUFS || errno == EINTR)
        ;
    check_carrier(arg);
    return 0;
}

/* ---- the host's routes ------------------------------------------------------------ */

/* We know what the host has. Is there something to start, or to start again? */
static void consider_routes(struct uplink *u)
{
    bool any = u->host.ipv4 || u->host.ipv6;
    bool more = (u->host.ipv4 && !u->engine4) || (u->host.ipv6 && !u->engine6);

    if (!any && u->child.pid == 0) {
        disarm(u->timer);
        u->phase = NO_ROUTE;
    } else if (any && u->child.pid == 0) {
        u->backoff = BACKOFF_MIN;
        begin(u);
    } else if (more) {
        log_info("uplink: the host can reach more than before, starting %s again", u->engine->name);
        forget_engine(u);
        begin(u);
    }
    settle_down(u);
}

static int on_host_routes(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct uplink *u = arg;
    int on = SD_EVENT_OFF;

    (void)source, (void)fd, (void)events;
    unsigned news = host_default_read(&u->host);
    if (news & HOST_DEFAULT_CHANGED) {
        (void)sd_event_source_get_enabled(u->settle, &on);
        if (on == SD_EVENT_OFF) /* not pushed back again: a flapping route must not hide */
            arm(u->settle, ROUTES_QUIET);
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
        log_failure(r, "uplink: cannot ask for the host's routes");
    return 0;
}

int uplink_open_host_routes(void)
{
    return host_default_open();
}

/* ---- life -------------------------------------------------------------------------- */

static int open_link_socket(void)
{
    AUTO_FD sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };

    if (sock < 0 || bind(sock, (struct sockaddr *)&addr, sizeof addr) < 0)
        return -errno;
    return fd_take(&sock);
}

static int add_sources(struct uplink *u)
{
    int r = sd_event_add_io(u->event, &u->host_source, u->host.sock, EPOLLIN, on_host_routes, u);
    if (r >= 0)
        r = sd_event_add_io(u->event, &u->link_source, u->link_sock, EPOLLIN, on_link_change, u);
    if (r >= 0)
        r = sd_event_add_time_relative(u->event, &u->timer, CLOCK_BOOTTIME, 0, MSEC, on_timer, u);
    if (r >= 0)
        r = sd_event_add_time_relative(u->event, &u->settle, CLOCK_BOOTTIME, 0, MSEC, on_settled,
                                       u);
    if (r < 0)
        return r;
    disarm(u->host_source);
    disarm(u->link_source);
    disarm(u->timer);
    disarm(u->settle);
    return 0;
}

int uplink_new(sd_event *event, struct link_ctx *links, struct nft *nft, struct spawner *spawner,
               int host_routes, uplink_changed changed, void *arg, struct uplink **ret)
{
    struct uplink *u = calloc(1, sizeof *u);
    int r = -ENOMEM;

    if (u) {
        u->event = event;
        u->links = links;
        u->nft = nft;
        u->spawner = spawner;
        u->changed = changed;
        u->changed_arg = arg;
        u->host.sock = u->ready = u->child.pidfd = u->reach = -1;
        (void)str_copy(u->state, sizeof u->state, "none");
        r = u->link_sock = open_link_socket();
    }
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

int uplink_start(struct uplink *u)
{
    if (u->phase != STOPPED)
        return 0;

    /* Not yet for a certain engine: both use the same addresses. */
    int r = prepare_tap(u, engine_of(CHILD_PASTA));
    if (r < 0)
        return log_failure(r, "uplink: cannot make the TAP '%s'", UPLINK_LINK);
    r = host_default_ask(&u->host);
    if (r < 0)
        return log_failure(r, "uplink: cannot ask for the host's routes");

    u->phase = LOOKING;
    u->backoff = BACKOFF_MIN;
    u->failures = 0;
    *u->why = '\0';
    (void)sd_event_source_set_enabled(u->host_source, SD_EVENT_ON);
    (void)sd_event_source_set_enabled(u->link_source, SD_EVENT_ON);
    report(u);
    return 0;
}

void uplink_stop(struct uplink *u)
{
    if (!u || u->phase == STOPPED)
        return;
    u->phase = STOPPED;
    disarm(u->host_source);
    disarm(u->link_source);
    disarm(u->timer);
    disarm(u->settle);
    forget_engine(u);
    u->engine = NULL;

    int r = link_delete(u->links, UPLINK_LINK);
    if (r < 0 && r != -ENODEV)
        log_failure(r, "uplink: cannot delete the TAP '%s'", UPLINK_LINK);
    report(u);
}

void uplink_free(struct uplink *u)
{
    if (!u)
        return;
    uplink_stop(u);
    sd_event_source_disable_unref(u->host_source);
    sd_event_source_disable_unref(u->link_source);
    sd_event_source_disable_unref(u->timer);
    sd_event_source_disable_unref(u->settle);
    host_default_close(&u->host);
    fd_closep(&u->link_sock);
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

const struct child *uplink_child(const struct uplink *u)
{
    return u->child.pid > 0 ? &u->child : NULL;
}

void uplink_set_child_watch(struct uplink *u, void (*child)(void *arg, const struct child *c),
                            void *arg)
{
    u->child_watch = child;
    u->child_watch_arg = arg;
}
