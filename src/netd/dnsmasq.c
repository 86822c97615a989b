/* SPDX-License-Identifier: Apache-2.0 */
/* dnsmasq.c - see dnsmasq.h: the process. dnsmasq_files.c writes what it reads.
 *
 * It says that it serves by writing its pid file, the last thing it does before its
 * loop; all its sockets are bound by then.
 */
#include "dnsmasq_part.h"

#include "leases.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define READY_STEP     200u     /* us between looks; it takes 5 ms */
#define READY_PATIENCE 5000000u /* us; on a machine that is busy with something else */

static void tell_ready(struct dnsmasq *d, int err)
{
    d->look = sd_event_source_disable_unref(d->look);
    d->setup.ready(d->setup.arg, err); /* last: it may free us */
}

static int on_look(sd_event_source *source, uint64_t usec, void *arg)
{
    struct dnsmasq *d = arg;

    if (faccessat(d->setup.dirfd, "pid", F_OK, 0) == 0) {
        tell_ready(d, 0);
    } else if (d->waited >= READY_PATIENCE) {
        tell_ready(d, -ETIMEDOUT);
    } else {
        d->waited += READY_STEP;
        (void)sd_event_source_set_time(source, usec + READY_STEP);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    return 0;
}

/* While we wait for its first word this is the answer; later supervise.c starts it
 * again, and nobody has to know. */
static void on_ended(void *arg)
{
    struct dnsmasq *d = arg;

    if (d->look)
        tell_ready(d, -ECHILD);
}

static int start_process(void *arg, struct child *ret)
{
    struct dnsmasq *d = arg;
    const struct spawner_order order = { .kind = CHILD_DNSMASQ,
                                         .network = d->setup.index,
                                         .write_down = d->setup.started,
                                         .arg = d->setup.arg };

    (void)unlinkat(d->setup.dirfd, "pid", 0);
    return spawner_run(d->setup.spawner, &order, ret);
}

int dnsmasq_new(const struct dnsmasq_setup *setup, struct dnsmasq **ret)
{
    struct dnsmasq *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->setup = *setup;
    (void)str_format(d->what, sizeof d->what, "network '%s': dnsmasq", setup->net->name);
    d->process =
        (struct supervised){ .what = d->what, .start = start_process, .ended = on_ended, .arg = d };
    supervise_init(&d->process, setup->event);
    *ret = d;
    return 0;
}

int dnsmasq_start(struct dnsmasq *d, const struct port *ports)
{
    int r;

    r = dnsmasq_write_config(&d->setup);
    if (r == 0)
        r = dnsmasq_write_who(&d->setup, ports);
    if (r == 0)
        r = supervise_start(&d->process);
    if (r < 0)
        return r;
    d->waited = 0;
    return sd_event_add_time_relative(d->setup.event, &d->look, CLOCK_MONOTONIC, READY_STEP, 1,
                                      on_look, d);
}

int dnsmasq_adopt(struct dnsmasq *d, pid_t pid, uint64_t born, const struct port *ports)
{
    struct child child;
    int r;

    r = dnsmasq_write_config(&d->setup);
    if (r == 0)
        r = dnsmasq_write_who(&d->setup, ports);
    if (r < 0)
        return r;
    if (child_adopt(pid, born, &child) < 0)
        return supervise_start(&d->process);
    (void)d->setup.started(d->setup.arg, &child);
    (void)child_signal(&child, SIGHUP);
    return supervise_adopt(&d->process, &child);
}

int dnsmasq_update(struct dnsmasq *d, const struct port *ports)
{
    int r = dnsmasq_write_who(&d->setup, ports);

    if (r < 0)
        return r;
    /* One that is just being restarted reads the files anyway. */
    (void)child_signal(&d->process.child, SIGHUP);
    return 0;
}

bool dnsmasq_leased_to(const struct dnsmasq *d, uint32_t ipv4, struct mac mac, struct mac *ret)
{
    struct leases leases = { 0 };
    const struct lease *lease;
    bool found;

    leases_read(d->setup.dirfd, &leases);
    lease = leases_find(&leases, ipv4);
    found = lease && !mac_equal(lease->mac, mac);
    if (found)
        *ret = lease->mac;
    leases_clear(&leases);
    return found;
}

void dnsmasq_ask_to_end(struct dnsmasq *d)
{
    if (!d)
        return;
    d->look = sd_event_source_disable_unref(d->look);
    supervise_ask_to_end(&d->process);
}

void dnsmasq_free(struct dnsmasq *d)
{
    if (!d)
        return;
    dnsmasq_ask_to_end(d);
    supervise_stop(&d->process);
    free(d);
}

void dnsmasq_leave(struct dnsmasq *d)
{
    if (!d)
        return;
    d->look = sd_event_source_disable_unref(d->look);
    supervise_leave(&d->process);
    free(d);
}
