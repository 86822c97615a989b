/* SPDX-License-Identifier: Apache-2.0 */
/* backend_netd.c - the Linux backend's entry; backend_record.h says how it works. */
#include "backend_netd.h"

#include "backend_record.h"
#include "closer.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUNNING_NETD_USEC UINT64_C(2000000)  /* what a hung netd may cost at our start */
#define REQUEST_USEC      UINT64_C(30000000) /* a client's patience; a build takes 10 ms */
#define STATS_USEC        UINT64_C(1500000)  /* inspect() promises two seconds */
#define LEAVE_USEC        UINT64_C(3000000)

struct inspection {
    TAILQ_ENTRY(inspection) link;
    struct backend_netd *b;
    bool asked;
    backend_inspected done; /* NULL: has been told already */
    void *arg;
    sd_event_source *timer;
};

/* ---- inspecting -------------------------------------------------------------------- */

static void inspection_free(struct inspection *i)
{
    TAILQ_REMOVE(&i->b->inspections, i, link);
    timer_end(&i->timer);
    free(i);
}

static void inspection_tell(struct inspection *i, const struct failure *failure)
{
    backend_inspected done = i->done;
    void *arg = i->arg;
    i->done = NULL;
    timer_end(&i->timer);
    if (!i->asked)
        inspection_free(i);
    if (done)
        done(arg, failure);
}

static int on_inspect_impatience(sd_event_source *source, uint64_t usec, void *arg)
{
    struct failure failure;
    (void)source;
    (void)usec;
    (void)failure_set(&failure, -ETIMEDOUT, "vmnet-netd does not answer");
    inspection_tell(arg, &failure);
    return 0;
}

static void keep_stats(struct backend_netd *b, const struct netd_stats *stats)
{
    struct record *record = record_find(b, stats->network);
    struct iface_entry *e;
    if (!record)
        return;
    if (!stats->tap[0])
        record->handle.host = stats->host;
    TAILQ_FOREACH (e, &record->handle.interfaces, link)
        if (strcmp(e->spec.tap, stats->tap) == 0)
            e->stats = *stats;
}

static void on_stats(void *arg, const struct failure *failure, const struct netd_answer *answer)
{
    struct inspection *i = arg;
    if (answer && answer->more) {
        keep_stats(i->b, &answer->msg->body.stats);
        return;
    }
    i->asked = false;
    inspection_tell(i, failure);
}

/* Without a line there is nothing to ask, and nothing to wait for. */
static void send_stats(struct inspection *i)
{
    struct failure failure;
    int r = netd_line_ask(i->b->line, NETD_STATS, NULL, on_stats, i);
    if (r == 0) {
        i->asked = true;
    } else if (TAILQ_EMPTY(&i->b->records)) {
        inspection_tell(i, NULL);
    } else {
        (void)failure_set(&failure, -ENETDOWN, "vmnet-netd is not there: %s", strerror(-r));
        inspection_tell(i, &failure);
    }
}

static struct inspection *first_unasked(const struct backend_netd *b)
{
    struct inspection *i;
    TAILQ_FOREACH (i, &b->inspections, link)
        if (!i->asked)
            return i;
    return NULL;
}

static int netd_inspect(void *self, backend_inspected done, void *arg)
{
    struct backend_netd *b = self;
    struct inspection *i = calloc(1, sizeof *i);
    if (!i)
        return -ENOMEM;
    int r = sd_event_add_time_relative(b->event, &i->timer, CLOCK_MONOTONIC, STATS_USEC, 0,
                                       on_inspect_impatience, i);
    if (r < 0) {
        free(i);
        return r;
    }
    i->b = b;
    i->done = done;
    i->arg = arg;
    TAILQ_INSERT_TAIL(&b->inspections, i, link);
    backend_schedule(b);
    return 0;
}

static void netd_describe(void *self, struct backend_view *ret)
{
    struct backend_netd *b = self;
    const char *problem = netd_line_problem(b->line);
    *ret = (struct backend_view){ .uplink_engine = netd_line_engine(b->line),
                                  .namespace_pid = (pid_t)netd_line_anchor(b->line) };
    if (!problem)
        problem = uplink_problem(b);
    if (problem)
        ret->problems[ret->n_problems++] = problem;
    stranded_describe(b, ret);
    forwards_describe(b, ret);
}

/* ---- what the line tells ----------------------------------------------------------- */

static int on_soon(sd_event_source *source, void *arg)
{
    struct backend_netd *b = arg;
    struct inspection *i;

    (void)source;
    networks_settle(b);
    interfaces_send(b);
    forwards_send(b);
    while ((i = first_unasked(b)))
        send_stats(i);
    if (networks_waiting(b) || interfaces_waiting(b) || forwards_waiting(b))
        netd_line_want(b->line);
    return 0;
}

static void on_up(void *arg)
{
    records_check_all(arg);
}

static bool on_wanted(void *arg)
{
    const struct backend_netd *b = arg;
    return b->leftovers || b->n_stranded > 0 || !TAILQ_EMPTY(&b->records) ||
           !TAILQ_EMPTY(&b->startings);
}

/* Those whose question was under way have heard. The rest was waiting to be asked. */
static void on_down(void *arg, const struct failure *failure)
{
    struct failure f = creation_failure(failure);
    networks_fail_all(arg, &f);
    interfaces_fail_unsent(arg, &f);
    forwards_fail_unsent(arg, &f);
}

static void network_lost(struct backend_netd *b, const struct netd_lost *lost)
{
    struct record *record = record_find(b, lost->network);
    struct failure failure;
    (void)failure_set(&failure, -ENETDOWN, "%s", lost->why);
    if (record)
        record_lost(record, &failure);
}

static void on_event(void *arg, const struct netd_msg *msg)
{
    struct backend_netd *b = arg;
    switch (msg->header.op) {
    case NETD_TAP_GONE:
        interfaces_tap_gone(b, &msg->body.interface);
        break;
    case NETD_LEASE:
        leases_take(b, &msg->body.lease);
        break;
    case NETD_NETWORK_LOST:
        network_lost(b, &msg->body.lost);
        break;
    case NETD_FORWARD:
        forwards_changed(b, &msg->body.forward);
        break;
    case NETD_UPLINK:
        uplink_changed(b, &msg->body.uplink);
        break;
    case NETD_STRANDED:
        stranded_over(b, &msg->body.stranded);
        break;
    default:
        break;
    }
}

static void on_inventory(void *arg, const struct netd_inventory *inventory)
{
    struct backend_netd *b = arg;
    uplink_take_welcome(b);
    b->leftovers = false;
    stranded_take(b, inventory);
    inventory_take(b, inventory);
}

/* ---- life -------------------------------------------------------------------------- */

/* As far as we know. A network that somebody waits for while netd starts is not there yet. */
static bool netd_has_nothing(const struct backend_netd *b)
{
    const struct record *record;
    TAILQ_FOREACH (record, &b->records, link)
        if (record->present || record->busy)
            return false;
    return true;
}

/* What is under way is abandoned. A netd that has nothing any more is asked to leave, so
 * that nothing of us is left when we are. */
static void netd_free(void *self)
{
    struct backend_netd *b = self;
    struct inspection *i;
    struct record *record;

    if (!b)
        return;
    if (b->line && netd_has_nothing(b))
        netd_line_leave(b->line, b->leave_usec);
    netd_line_free(b->line);
    interfaces_free(b);
    forwards_free(b);
    while ((i = TAILQ_FIRST(&b->inspections)))
        inspection_free(i);
    memory_file_close(b->file);
    b->file = NULL;
    while ((record = TAILQ_FIRST(&b->records)))
        record_free(record);
    memory_clear(&b->memory);
    uplinks_forget(b);
    free(b->stranded);
    (void)sd_event_source_disable_unref(b->soon);
    netd_starter_free(b->start.starter);
    free(b->start.program);
    free(b);
    closer_stop();
}

static const struct backend_ops netd_ops = {
    .name = "vmnet-netd",
    .build = networks_build,
    .remove = networks_remove,
    .update = networks_update,
    .start_interface = interfaces_start,
    .drop_interface = interfaces_drop,
    .interfaces_of = interfaces_of,
    .add_forward = forwards_add,
    .remove_forward = forwards_remove,
    .forward_target = forwards_target,
    .forward_owner = forwards_owner,
    .forwards_of = forwards_of,
    .inspect = netd_inspect,
    .leases = leases_list,
    .describe = netd_describe,
    .drop = networks_drop,
    .free = netd_free,
};

static int open_parts(struct backend_netd *b, const struct backend_netd_config *config)
{
    const struct netd_line_events line_events = { on_inventory, on_up,     on_event,
                                                  on_down,      on_wanted, b };
    b->start.paths = *config->paths;
    b->start.system = config->system;
    if (config->netd_program) {
        b->start.program = strdup(config->netd_program);
        if (!b->start.program)
            return -ENOMEM;
    }
    int r = config->system ? 0 : netd_starter_new(&b->start, &b->start.starter);
    if (r >= 0)
        r = sd_event_add_defer(b->event, &b->soon, on_soon, b);
    if (r >= 0)
        r = sd_event_source_set_enabled(b->soon, SD_EVENT_OFF);
    if (r >= 0)
        r = forwards_init(b);
    if (r >= 0)
        r = memory_file_open(b->event, config->state_dirfd, &b->memory, &b->file);
    if (r >= 0)
        r = netd_line_new(b->event, &b->start, b->idle_timeout_sec, &line_events, &b->line);
    return r < 0 ? r : 0;
}

/* A netd that ended well leaves none; of two copies one is enough. */
static bool has_journal(int state_dirfd)
{
    return faccessat(state_dirfd, "netd/journal", F_OK, 0) == 0 ||
           faccessat(state_dirfd, "netd/journal.copy", F_OK, 0) == 0;
}

int backend_netd_new(const struct backend_netd_config *config, sd_event *event,
                     const struct backend_events *events, struct backend *ret)
{
    struct backend_netd *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->event = event;
    b->events = *events;
    b->idle_timeout_sec = config->idle_timeout_sec;
    b->request_usec = REQUEST_USEC;
    b->leave_usec = LEAVE_USEC;
    memory_init(&b->memory);
    TAILQ_INIT(&b->records);
    TAILQ_INIT(&b->uplinks);
    TAILQ_INIT(&b->startings);
    TAILQ_INIT(&b->inspections);
    TAILQ_INIT(&b->forward_questions);
    int r = open_parts(b, config);
    if (r < 0) {
        netd_free(b);
        return r;
    }
    b->adopting = true;
    netd_line_greet_running(b->line, RUNNING_NETD_USEC);
    b->adopting = false;
    b->leftovers = !config->system && has_journal(config->state_dirfd);
    if (b->leftovers)
        netd_line_want(b->line);
    *ret = (struct backend){ &netd_ops, b };
    return 0;
}
