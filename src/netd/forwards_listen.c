/* SPDX-License-Identifier: Apache-2.0 */
/* forwards_listen.c - the sockets of a forwarded port: made by the spawner, passed on to the
 * forwarder, and tried again.
 *
 * We keep none of them: a socket that we held as well would go on listening when the forwarder
 * has died, and clients would wait for somebody who is not there. So whoever starts the next one
 * needs new sockets, and may find a port taken; nobody tells us when it is free, so we ask.
 */
#include "forwards_part.h"

#include "fd.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define AGAIN_USEC 1000000u /* between two tries to listen */

static const uint8_t any4[16] = { [10] = 0xff, 0xff };

static bool is_any(const uint8_t addr[static 16])
{
    static const uint8_t none[16];

    return memcmp(addr, none, sizeof none) == 0;
}

static int open_port(struct forwards *all, const struct netd_forward *f, const uint8_t addr[16])
{
    struct host_port port = { .port = (uint16_t)f->external_port, .udp = f->protocol == NETD_UDP };

    memcpy(port.addr, addr, sizeof port.addr);
    return spawner_open_port(all->setup.spawner, &port);
}

/* A socket for each family. A host without IPv6 is no reason to forward nothing. */
static int open_ports(struct forwards *all, const struct netd_forward *f, int fds[static 2],
                      size_t *ret_n)
{
    bool v4 = f->families & NETD_IPV4, v6 = f->families & NETD_IPV6;
    size_t n = 0;
    int fd = 0;

    if (v4)
        fd = fds[n++] = open_port(all, f, is_any(f->listen) ? any4 : f->listen);
    if (v6 && fd >= 0) {
        fd = open_port(all, f, f->listen);
        if (fd >= 0)
            fds[n++] = fd;
        else if (v4 && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL))
            fd = 0;
    }
    if (fd < 0 && v4)
        fd_closep(&fds[0]);
    *ret_n = n;
    return fd < 0 ? fd : 0;
}

int forward_listen(struct forwards *all, struct forward *f)
{
    int fds[2] = { -1, -1 };
    size_t n = 0;
    int r = open_ports(all, &f->spec, fds, &n);

    if (r == 0)
        r = forward_order(all, FORWARDER_ADD, f, fds, n);
    if (r == 0)
        f->spec.flags |= NETD_FORWARD_LIVE;
    for (size_t i = 0; i < n; i++)
        fd_closep(&fds[i]);
    return r;
}

int forward_refuse_port(const struct netd_forward *f, int err, struct netd_why *why)
{
    const char *protocol = f->protocol == NETD_TCP ? "TCP" : "UDP";

    if (err == -EADDRINUSE)
        return why_refused(why, err, "%s port %u of the host is in use", protocol,
                           f->external_port);
    if (err == -EACCES)
        return why_refused(why, err,
                           "%s port %u of the host is for root only: choose one from 1024 on, or "
                           "lower net.ipv4.ip_unprivileged_port_start",
                           protocol, f->external_port);
    if (err == -EADDRNOTAVAIL)
        return why_refused(why, err, "%s port %u: the host has no such address to listen on",
                           protocol, f->external_port);
    return why_failed(why, err, "cannot listen on %s port %u of the host", protocol,
                      f->external_port);
}

/* ---- again and again --------------------------------------------------------------- */

void forwards_listen_later(struct forwards *all)
{
    (void)sd_event_source_set_time_relative(all->again, AGAIN_USEC);
    (void)sd_event_source_set_enabled(all->again, SD_EVENT_ONESHOT);
}

void forwards_listen_no_more(struct forwards *all)
{
    (void)sd_event_source_set_enabled(all->again, SD_EVENT_OFF);
}

void forwards_listen(struct forwards *all)
{
    struct forward *f;

    TAILQ_FOREACH (f, &all->list, link) {
        if (f->spec.flags & NETD_FORWARD_LIVE)
            continue;
        if (forward_listen(all, f) == 0)
            all->setup.changed(all->setup.arg, &f->spec);
        else
            forwards_listen_later(all);
    }
}

static int on_again(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)source, (void)usec;
    forwards_listen(arg);
    return 0;
}

int forwards_listen_init(struct forwards *all)
{
    int r = sd_event_add_time(all->setup.event, &all->again, CLOCK_MONOTONIC, 0, AGAIN_USEC / 10,
                              on_again, all);

    return r < 0 ? r : sd_event_source_set_enabled(all->again, SD_EVENT_OFF);
}
