/* SPDX-License-Identifier: Apache-2.0 */
#include "netd_line.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GREETING_TIMEOUT_USEC    UINT64_C(10000000)
#define SILENCE_USEC             UINT64_C(1000000) /* ten times what the slowest request takes */
#define STEADY_USEC              UINT64_C(2000000) /* up this long: earlier failures are past */
#define SERVED_FAILURES          3u                /* one that served at all is no hopeless case */
#define PAUSE_FIRST_USEC         UINT64_C(100000)
#define PAUSE_MAX_USEC           UINT64_C(30000000)
/* More than this netd cannot have: limits of the broker that made it (core/policy.h). */
#define INVENTORY_NETWORKS_MAX   4096u
#define INVENTORY_INTERFACES_MAX 65536u
#define INVENTORY_FORWARDS_MAX   4096u

enum line_state { LINE_DOWN, LINE_STARTING, LINE_GREETING, LINE_UP };

struct netd_line {
    sd_event *event, *last_event; /* last_event: ours, when the loop is over */
    const struct netd_start_config *config;
    struct netd_hello hello;
    struct netd_line_events events;
    enum line_state state;
    struct netd_start *start;
    struct netd_session *session;
    sd_event_source *timer; /* the next attempt, or the end of our patience */
    struct netd_inventory inventory;
    bool listed;       /* the inventory is complete: events mean something from here on */
    bool leaving;      /* netd ends because we asked it to */
    bool stays;        /* it does not */
    unsigned failures; /* since it was last steady */
    uint64_t up_since, state_since;
    struct netd_welcome welcome; /* all zero: no netd */
    struct failure failure;      /* why it is down */
    char problem[sizeof((struct failure){ 0 }.why) + 64];
};

static void line_down(struct netd_line *line, const struct failure *failure);

static void stop_timer(struct netd_line *line)
{
    line->timer = sd_event_source_disable_unref(line->timer);
}

static int start_timer(struct netd_line *line, uint64_t usec, sd_event_time_handler_t handler)
{
    stop_timer(line);
    return sd_event_add_time_relative(line->event, &line->timer, CLOCK_MONOTONIC, usec, 0, handler,
                                      line);
}

static void enter(struct netd_line *line, enum line_state state)
{
    line->state = state;
    line->state_since = monotonic_usec();
}

static void forget_inventory(struct netd_line *line)
{
    free(line->inventory.networks);
    free(line->inventory.interfaces);
    free(line->inventory.stranded);
    free(line->inventory.forwards);
    line->inventory = (struct netd_inventory){ 0 };
}

/* ---- greeting ---------------------------------------------------------------------- */

/* Ends the session from our side. */
static void give_up(struct netd_line *line, int err, const char *why)
{
    struct failure failure;
    (void)failure_set(&failure, err, "%s", why);
    line_down(line, &failure);
}

static void ask_in_greeting(struct netd_line *line, uint16_t op, const void *body,
                            netd_answered answered)
{
    int r = netd_session_ask(line->session, op, body, answered, line);
    if (r < 0)
        give_up(line, r, strerror(-r));
}

static void on_ready(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct netd_line *line = arg;
    (void)answer;
    if (failure) { /* the end of the session is told by on_ended() */
        if (line->session && failure->err != -ECONNRESET)
            line_down(line, failure);
        return;
    }
    stop_timer(line);
    enter(line, LINE_UP);
    line->up_since = monotonic_usec();
    line->failure = (struct failure){ 0 };
    line->events.up(line->events.arg);
}

/* Grows by doubling: n is the count and implies the room. */
static void *grow(void *items, size_t n, size_t max, size_t size)
{
    if (n != 0 && (n & (n - 1)) != 0)
        return items; /* the room of the last doubling is not full */
    return n >= max ? NULL : reallocarray(items, n == 0 ? 1 : n * 2, size);
}

static int keep_network(struct netd_inventory *inv, const struct netd_network *network)
{
    void *items = grow(inv->networks, inv->n_networks, INVENTORY_NETWORKS_MAX, sizeof *network);
    if (!items)
        return -ENOMEM;
    inv->networks = items;
    inv->networks[inv->n_networks++] = *network;
    return 0;
}

static int keep_interface(struct netd_inventory *inv, const struct netd_interface *interface)
{
    void *items =
        grow(inv->interfaces, inv->n_interfaces, INVENTORY_INTERFACES_MAX, sizeof *interface);
    if (!items)
        return -ENOMEM;
    inv->interfaces = items;
    inv->interfaces[inv->n_interfaces++] = *interface;
    return 0;
}

static int keep_forward(struct netd_inventory *inv, const struct netd_forward *forward)
{
    void *items = grow(inv->forwards, inv->n_forwards, INVENTORY_FORWARDS_MAX, sizeof *forward);
    if (!items)
        return -ENOMEM;
    inv->forwards = items;
    inv->forwards[inv->n_forwards++] = *forward;
    return 0;
}

static int keep_stranded(struct netd_inventory *inv, const struct netd_stranded *stranded)
{
    void *items = grow(inv->stranded, inv->n_stranded, INVENTORY_NETWORKS_MAX, sizeof *stranded);
    if (!items)
        return -ENOMEM;
    inv->stranded = items;
    inv->stranded[inv->n_stranded++] = *stranded;
    return 0;
}

static int keep(struct netd_inventory *inv, const struct netd_answer *answer)
{
    switch (answer->body_len) {
    case sizeof answer->msg->body.network:
        return keep_network(inv, &answer->msg->body.network);
    case sizeof answer->msg->body.interface:
        return keep_interface(inv, &answer->msg->body.interface);
    case sizeof answer->msg->body.stranded:
        return keep_stranded(inv, &answer->msg->body.stranded);
    case sizeof answer->msg->body.forward:
        return keep_forward(inv, &answer->msg->body.forward);
    default:
        return 0;
    }
}

static void on_inventory(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct netd_line *line = arg;
    int r = 0;

    if (failure) {
        on_ready(line, failure, NULL);
        return;
    }
    if (answer->more) {
        r = keep(&line->inventory, answer);
        if (r < 0)
            give_up(line, r, "vmnet-netd's inventory does not fit into memory");
        return;
    }
    line->listed = true;
    line->events.inventory(line->events.arg, &line->inventory);
    forget_inventory(line);
    ask_in_greeting(line, NETD_READY, NULL, on_ready);
}

static void on_welcome(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct netd_line *line = arg;
    if (failure) {
        on_ready(line, failure, NULL);
        return;
    }
    line->welcome = answer->msg->body.welcome;
    log_info("vmnet-netd (pid %d) is there", (int)line->welcome.netd_pid);
    ask_in_greeting(line, NETD_INVENTORY, NULL, on_inventory);
}

static int on_greeting_timeout(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source;
    (void)usec;
    give_up(arg, -ETIMEDOUT, "vmnet-netd does not answer");
    return 0;
}

static void on_event(void *arg, const struct netd_msg *msg)
{
    struct netd_line *line = arg;
    if (msg->header.op == NETD_UPLINK && msg->body.uplink.interface[0] == '\0') {
        (void)str_copy(line->welcome.uplink_engine, sizeof line->welcome.uplink_engine,
                       msg->body.uplink.engine);
        (void)str_copy(line->welcome.uplink_state, sizeof line->welcome.uplink_state,
                       msg->body.uplink.state);
    }
    if (msg->header.op == NETD_ANCHOR)
        line->welcome.anchor_pid = msg->body.anchor.pid;
    if (line->listed)
        line->events.event(line->events.arg, msg);
}

static void on_ended(void *arg, const struct failure *failure)
{
    line_down(arg, failure);
}

static void greet(struct netd_line *line, int fd)
{
    struct netd_session_events events = { on_event, on_ended, line };
    int r = netd_session_new(line->event, fd, &events, &line->session);
    if (r < 0) {
        (void)close(fd);
        give_up(line, r, strerror(-r));
        return;
    }
    enter(line, LINE_GREETING);
    r = start_timer(line, GREETING_TIMEOUT_USEC, on_greeting_timeout);
    if (r < 0)
        give_up(line, r, strerror(-r));
    else
        ask_in_greeting(line, NETD_HELLO, &line->hello, on_welcome);
}

/* ---- up and down ------------------------------------------------------------------- */

static void on_started(void *arg, const struct failure *failure, int fd)
{
    struct netd_line *line = arg;
    line->start = NULL;
    if (failure)
        line_down(line, failure);
    else
        greet(line, fd);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *arg)
{
    struct netd_line *line = arg;
    (void)source;
    (void)usec;
    stop_timer(line);
    if (line->events.wanted(line->events.arg))
        netd_line_want(line);
    return 0;
}

/* Guests wait for DHCP and DNS meanwhile: two deaths in a row are still bad luck. */
static uint64_t pause_usec(unsigned failures)
{
    uint64_t pause = failures <= 1   ? 0
                     : failures > 10 ? PAUSE_MAX_USEC
                                     : PAUSE_FIRST_USEC << (failures - 2);
    return pause > PAUSE_MAX_USEC ? PAUSE_MAX_USEC : pause;
}

static void line_down(struct netd_line *line, const struct failure *failure)
{
    if (line->state == LINE_DOWN)
        return;
    struct failure kept = *failure; /* it may live in what is freed below */
    if (line->state == LINE_UP && monotonic_usec() - line->up_since > STEADY_USEC)
        line->failures = 0;
    else if (line->state == LINE_UP && line->failures > SERVED_FAILURES)
        line->failures = SERVED_FAILURES;
    if (!line->leaving && strcmp(kept.why, line->failure.why) != 0) /* once, not each time */
        log_warning("vmnet-netd is not available: %s", kept.why);
    stop_timer(line);
    enter(line, LINE_DOWN);
    line->listed = false;
    line->failures++;
    line->failure = kept;
    line->welcome = (struct netd_welcome){ 0 };
    forget_inventory(line);
    netd_session_free(line->session);
    line->session = NULL;
    line->events.down(line->events.arg, &kept);
    if (line->state == LINE_DOWN && line->events.wanted(line->events.arg))
        (void)start_timer(line, pause_usec(line->failures), on_retry);
}

void netd_line_want(struct netd_line *line)
{
    if (line->state != LINE_DOWN)
        return;
    stop_timer(line);
    if (netd_start_begin(line->event, line->config, on_started, line, &line->start) == 0)
        enter(line, LINE_STARTING);
    else
        (void)start_timer(line, pause_usec(2), on_retry);
}

void netd_line_greet_running(struct netd_line *line, uint64_t timeout_usec)
{
    uint64_t deadline = monotonic_usec() + timeout_usec;
    int fd = netd_connect(&line->config->paths);
    if (fd < 0) {
        if (fd != -ENOENT && fd != -ECONNREFUSED)
            log_warning("vmnet-netd: cannot connect to it: %s", strerror(-fd));
        return;
    }
    enter(line, LINE_STARTING);
    greet(line, fd);
    while (line->state == LINE_GREETING && netd_session_turn(line->session, deadline) == 0)
        ;
    if (line->state == LINE_GREETING)
        log_warning("vmnet-netd: no answer within %u ms; going on without what it has",
                    (unsigned)(timeout_usec / 1000));
}

/* ---- leaving ----------------------------------------------------------------------- */

/* Whoever leaves is told nothing any more. */
static void ignore_up(void *arg)
{
    (void)arg;
}

static void ignore_event(void *arg, const struct netd_msg *msg)
{
    (void)arg, (void)msg;
}

static void ignore_down(void *arg, const struct failure *failure)
{
    (void)arg, (void)failure;
}

static bool not_wanted(void *arg)
{
    (void)arg;
    return false;
}

/* What it has taken over from another netd, the next broker will want. */
static void stay_with(void *arg, const struct netd_inventory *inventory)
{
    struct netd_line *line = arg;
    line->stays |= inventory->n_networks > 0;
}

static void on_left(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct netd_line *line = arg;
    (void)answer;
    if (failure && failure->err != -ECONNRESET) {
        log_info("vmnet-netd stays: %s", failure->why);
        line->stays = true;
    }
}

/* A netd that is on its way would find nobody who could tell it that it is not needed. The loop
 * may be over, and then takes nothing new. */
static void meet(struct netd_line *line, uint64_t deadline)
{
    if (line->state == LINE_STARTING && sd_event_new(&line->last_event) >= 0)
        line->event = line->last_event;
    while (line->state == LINE_STARTING && netd_start_turn(line->start, deadline) == 0)
        ;
    while (line->state == LINE_GREETING && netd_session_turn(line->session, deadline) == 0)
        ;
}

void netd_line_leave(struct netd_line *line, uint64_t timeout_usec)
{
    uint64_t deadline = monotonic_usec() + timeout_usec;
    line->leaving = true;
    line->events = (struct netd_line_events){ stay_with,   ignore_up,  ignore_event,
                                              ignore_down, not_wanted, line };
    meet(line, deadline);
    if (line->state != LINE_UP || line->stays ||
        netd_session_ask(line->session, NETD_LEAVE, NULL, on_left, line) < 0)
        return;
    while (line->state == LINE_UP && !line->stays &&
           netd_session_turn(line->session, deadline) == 0)
        ;
}

/* ---- what others ask and know ------------------------------------------------------ */

bool netd_line_is_up(const struct netd_line *line)
{
    return line->state == LINE_UP;
}

int netd_line_ask(struct netd_line *line, uint16_t op, const void *body, netd_answered answered,
                  void *arg)
{
    return line->state == LINE_UP ? netd_session_ask(line->session, op, body, answered, arg)
                                  : -ENOTCONN;
}

const char *netd_line_problem(struct netd_line *line)
{
    uint64_t silence = 0;
    if (line->state == LINE_GREETING)
        silence = monotonic_usec() - line->state_since;
    else if (line->state == LINE_UP)
        silence = netd_session_silence(line->session);
    if (silence > SILENCE_USEC) {
        (void)snprintf(line->problem, sizeof line->problem,
                       "vmnet-netd (pid %d) has not answered for %u s", (int)line->welcome.netd_pid,
                       (unsigned)(silence / 1000000));
        return line->problem;
    }
    if (line->state == LINE_UP || line->failure.err == 0)
        return NULL;
    (void)snprintf(line->problem, sizeof line->problem, "%s", line->failure.why);
    return line->problem;
}

const char *netd_line_engine(const struct netd_line *line)
{
    return line->welcome.uplink_engine[0] != '\0' ? line->welcome.uplink_engine : "none";
}

const char *netd_line_uplink(const struct netd_line *line)
{
    return line->welcome.uplink_state;
}

int32_t netd_line_anchor(const struct netd_line *line)
{
    return line->welcome.anchor_pid;
}

int netd_line_new(sd_event *event, const struct netd_start_config *config,
                  uint32_t idle_timeout_sec, const struct netd_line_events *events,
                  struct netd_line **ret)
{
    struct netd_line *line = calloc(1, sizeof *line);
    if (!line)
        return -ENOMEM;
    line->event = event;
    line->config = config;
    line->hello.idle_timeout_sec = idle_timeout_sec;
    line->events = *events;
    *ret = line;
    return 0;
}

void netd_line_free(struct netd_line *line)
{
    if (!line)
        return;
    stop_timer(line);
    netd_start_cancel(line->start);
    netd_session_free(line->session);
    forget_inventory(line);
    (void)sd_event_unref(line->last_event);
    free(line);
}
