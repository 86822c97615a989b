/* SPDX-License-Identifier: Apache-2.0 */
/* pulse.h - does a dnsmasq that lives also answer?
 *
 * One that hangs has not ended, and supervise.c would wait for ever. So it is asked a question,
 * once a second, from when somebody has asked it something until it shows life: as long as nobody
 * does, nobody misses it. One that neither answers three times in a row nor has been running
 * meanwhile is killed, and started again as any that has died. One that is busy is not: guests
 * could have us kill it by asking more than it can answer.
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
    /* It lives, and may rest until pulse_wake(); called by pulse_new(), too. NULL: it never rests.
     */
    void (*rest)(void *arg);
    void *arg;
};

/* 0 or a negative errno. */
int pulse_new(const struct pulse_setup *setup, struct pulse **ret);
/* Asks from now on. NULL is fine. */
void pulse_wake(struct pulse *pulse);
void pulse_free(struct pulse *pulse); /* NULL is fine */
