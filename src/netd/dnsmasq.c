/* SPDX-License-Identifier: Apache-2.0 */
/* dnsmasq.c - see dnsmasq.h: the process. dnsmasq_files.c writes what it reads.
 *
 * It says that it serves by writing its pid file, the last thing it does before its
 * loop; all its sockets are bound by then.
 */
#include "dnsmasq_part.h"

#include "asked.h"
#include "fd.h"
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
#define PULSE_USEC     1000000u /* one that hangs is noticed within 5 s of a question */

static void on_asked(void *arg)
{
    const struct dnsmasq *d = arg;

    pulse_wake(d->pulse);
}

static void rest(void *arg)
{
    struct dnsmasq *d = arg;

    asked_wait(d->setup.asked, d->setup.index, on_asked, d);
}

static void forget_pulse(struct dnsmasq *d)
{
    if (d->setup.asked)
        asked_forget(d->setup.asked, d->setup.index);
    pulse_free(take_ptr(&d->pulse));
}

/* From now on it serves. */
static void watch(struct dnsmasq *d)
{
    const struct netd_network *net = d->setup.net;
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    char name[NAME_SIZE + 64];
    struct pulse_setup setup = { .event = d->setup.event,
                                 .what = d->what,
                                 .child = &d->process.child,
                                 .server = { .sin_family = AF_INET, .sin_port = htons(53) },
                                 .name = name,
                                 .every_usec = PULSE_USEC,
                                 .rest = d->setup.asked ? rest : NULL,
                                 .arg = d };
    int r = str_format(name, sizeof name, "gateway.%s." DNS_SUFFIX, net->name);

    setup.server.sin_addr.s_addr = htonl(subnet4_gateway(subnet));
    if (r == 0)
        r = pulse_new(&setup, &d->pulse);
    if (r < 0)
        (void)log_failure(r, "%s: nobody will notice if it hangs", d->what);
}

static void tell_ready(struct dnsmasq *d, int err)
{
    d->look = sd_event_source_disable_unref(d->look);
    fd_closep(&d->leash);
    if (err == 0)
        watch(d);
    d->setup.ready(d->setup.arg, err); /* last: it may free us */
}

static int on_look(sd_event_source *source, uint64_t usec, void *arg)
{
    struct dnsmasq *d = arg;

    if (faccessat(d->setup.dirfd, "pid", F_OK, 0) == 0) {
        tell_ready(d, 0);
    } else if (usec >= d->deadline) {
        tell_ready(d, -ETIMEDOUT);
    } else { /* from now on: looks that were missed are not caught up with */
        (void)sd_event_source_set_time_relative(source, READY_STEP);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    return 0;
}

/* While we wait for its first word this is the answer; later supervise.c starts it
 * again, and nobody has to know. */
static void on_ended(void *arg)
{
    struct dnsmasq *d = arg;
    int err = child_outcome(&d->leash);

    if (err < 0)
        (void)log_failure(err, "%s: cannot be executed", d->what);
    if (d->look)
        tell_ready(d, err < 0 ? err : -ECHILD);
}

static struct spawner_order order_of(const struct dnsmasq *d)
{
    return (struct spawner_order){ .kind = CHILD_DNSMASQ,
                                   .network = d->setup.index,
                                   .write_down = d->setup.started,
                                   .arg = d->setup.arg };
}

static int ask_for_process(struct dnsmasq *d)
{
    const struct spawner_order order = order_of(d);
    int r = spawner_ask(d->setup.spawner, &order);

    d->asked = r == 0;
    return r;
}

/* Does not wait for its exec(): whoever waits for the pid file hears of a failure, too. */
static int start_process(void *arg, struct child *ret)
{
    struct dnsmasq *d = arg;
    const struct spawner_order order = order_of(d);
    int r = 0;

    fd_closep(&d->leash);
    (void)unlinkat(d->setup.dirfd, "pid", 0);
    if (!d->asked)
        r = ask_for_process(d);
    d->asked = false;
    return r < 0 ? r : spawner_take(d->setup.spawner, &order, ret, &d->leash);
}

int dnsmasq_new(const struct dnsmasq_setup *setup, struct dnsmasq **ret)
{
    struct dnsmasq *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    d->setup = *setup;
    d->leash = -1;
    (void)str_format(d->what, sizeof d->what, "network '%s': dnsmasq", setup->net->name);
    d->process =
        (struct supervised){ .what = d->what, .start = start_process, .ended = on_ended, .arg = d };
    supervise_init(&d->process, setup->event);
    *ret = d;
    return 0;
}

int dnsmasq_prepare(struct dnsmasq *d)
{
    int r = ask_for_process(d);

    if (r == 0)
        r = dnsmasq_write_config(&d->setup);
    return r < 0 ? r : dnsmasq_write_who(&d->setup, NULL);
}

int dnsmasq_start(struct dnsmasq *d)
{
    int r = supervise_start(&d->process);

    if (r < 0)
        return r;
    r = sd_event_now(d->setup.event, CLOCK_MONOTONIC, &d->deadline);
    if (r < 0)
        return r;
    d->deadline += READY_PATIENCE;
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
    if (r < 0) /* a full disk, say; those of its first netd are there */
        (void)log_failure(r, "%s: cannot write its files anew", d->what);
    watch(d);
    if (child_adopt(pid, born, &child) < 0)
        return supervise_start_soon(&d->process); /* whether or not that is possible now */
    (void)d->setup.started(d->setup.arg, &child);
    (void)child_signal(&child, SIGHUP);
    return supervise_adopt(&d->process, &child);
}

struct process dnsmasq_process(const struct dnsmasq *d)
{
    const struct child *child = &d->process.child;

    return (struct process){ .pid = child->pid, .born = child->born };
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
    forget_pulse(d);
    supervise_ask_to_end(&d->process);
}

void dnsmasq_free(struct dnsmasq *d)
{
    if (!d)
        return;
    dnsmasq_ask_to_end(d);
    if (d->asked)
        spawner_drop(d->setup.spawner);
    supervise_stop(&d->process);
    fd_closep(&d->leash);
    free(d);
}

void dnsmasq_leave(struct dnsmasq *d)
{
    if (!d)
        return;
    d->look = sd_event_source_disable_unref(d->look);
    forget_pulse(d);
    supervise_leave(&d->process);
    fd_closep(&d->leash);
    free(d);
}
