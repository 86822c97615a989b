/* SPDX-License-Identifier: Apache-2.0 */
/* dnsmasq_part.h - what dnsmasq.c (the process) and dnsmasq_files.c (what it reads and
 * writes) know of each other. */
#pragma once
#include "dnsmasq.h"
#include "pulse.h"
#include "supervise.h"

struct dnsmasq {
    struct dnsmasq_setup setup;
    struct supervised process;
    char what[NAME_SIZE + 32];
    bool asked;            /* the spawner has a process for us that nobody has taken */
    int leash;             /* -1: none; tells why the last one could not begin */
    sd_event_source *look; /* while we wait for the pid file */
    struct pulse *pulse;   /* NULL: it does not serve yet */
    uint64_t deadline;
};

/* dnsmasq.conf, once. */
int dnsmasq_write_config(const struct dnsmasq_setup *setup);
/* hosts and names, again and again. */
int dnsmasq_write_who(const struct dnsmasq_setup *setup, const struct port *ports);
