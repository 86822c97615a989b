/* SPDX-License-Identifier: Apache-2.0 */
/* pulse.h - does a dnsmasq that lives also answer?
 *
 * One that has been stopped, or hangs, has not ended, and supervise.c would wait for ever. So
 * it is asked a question now and then. One that neither answers three times in a row nor has
 * been running meanwhile is killed, and started again as any that has died. One that is busy
 * is not: guests could have us kill it by asking more than it can answer.
 */
#pragma once
#include "spawner.h"

#include <netinet/in.h>
#include <systemd/sd-event.h>

struct pulse;

struct pulse_setup {
    sd_event *event;
    const char *what;          /* for the log; borrowed, as is the next */
    const struct child *child; /* as it is at the time */
    struct sockaddr_in server;
    const char *name; /* what it is asked for; copied */
    uint64_t every_usec;
};

/* Asks from now on. 0 or a negative errno. */
int pulse_new(const struct pulse_setup *setup, struct pulse **ret);
void pulse_free(struct pulse *pulse); /* NULL is fine */
