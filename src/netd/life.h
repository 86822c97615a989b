/* SPDX-License-Identifier: Apache-2.0 */
/* life.h - when netd ends.
 *
 * netd outlives its broker for as long as a network may idle; with no broker and no
 * TAP in use for that long, it removes all and goes. Asked to leave it goes at once,
 * unless a TAP is in use. Ended by a signal while a TAP is in use, or by a broker that
 * brings a newer netd, it touches nothing, and the next netd adopts what is there.
 */
#pragma once
#include "networks.h"
#include "server.h"

struct life;

enum life_end {
    LIFE_CLEAN = 1,  /* everything was removed */
    LIFE_ADOPT,      /* everything stays       */
    LIFE_UNFINISHED, /* something could not be removed: the next netd does it, by the journal */
};

/* All borrowed. timeout_sec: as long as no broker and no network says more. SIGTERM
 * and SIGINT must be blocked. */
int life_new(sd_event *event, struct networks *networks, struct server *server,
             uint32_t timeout_sec, struct life **ret);
void life_free(struct life *life);

/* What the last broker wants. */
void life_set_timeout(struct life *life, uint32_t timeout_sec);
/* Broker or TAPs have come or gone. */
void life_consider(struct life *life);
/* Ends the loop, with LIFE_ADOPT while a TAP is in use, else with LIFE_CLEAN. why: what
 * happened, for the log. */
void life_make_way(struct life *life, const char *why);
/* Removes all and ends the loop with LIFE_CLEAN, or with LIFE_UNFINISHED and words; -EBUSY with
 * words: a TAP is in use. */
int life_leave(struct life *life, struct netd_why *why);
