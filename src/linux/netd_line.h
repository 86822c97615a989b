/* SPDX-License-Identifier: Apache-2.0 */
/* netd_line.h - the line to the helper: found or started, greeted, kept up.
 *
 *   DOWN ---want()---> STARTING ---connected---> GREETING ---READY answered---> UP
 *     ^                   | cannot be started       | no answer, wrong version   |
 *     +-------------------+-------------------------+-------- netd ended --------+
 *
 * Each time the line comes up netd first lists what it has, so that whatever happened
 * meanwhile - netd's death, ours - ends in one comparison and not in special cases. While
 * wanted() says so, a line that went down is put up again: at once, then with growing
 * pauses.
 */
#pragma once
#include "netd_session.h"
#include "netd_start.h"

#include <stdint.h>

struct netd_inventory {
    struct netd_network *networks;
    struct netd_interface *interfaces;
    struct netd_stranded *stranded;
    struct netd_forward *forwards;
    size_t n_networks, n_interfaces, n_stranded, n_forwards;
};

struct netd_line_events {
    void (*inventory)(void *arg, const struct netd_inventory *inventory); /* borrowed */
    void (*up)(void *arg);
    void (*event)(void *arg, const struct netd_msg *msg);
    /* Questions that waited have been failed before. */
    void (*down)(void *arg, const struct failure *failure);
    bool (*wanted)(void *arg);
    void *arg;
};

struct netd_line;

/* config: borrowed, as is event. 0 or -ENOMEM. */
int netd_line_new(sd_event *event, const struct netd_start_config *config,
                  uint32_t idle_timeout_sec, const struct netd_line_events *events,
                  struct netd_line **ret);
/* No event comes any more. NULL is fine. */
void netd_line_free(struct netd_line *line);

/* If a netd runs, greets it without the loop, for at most timeout_usec. Afterwards the
 * line may be in any state; GREETING goes on on the loop. */
void netd_line_greet_running(struct netd_line *line, uint64_t timeout_usec);

/* Puts the line up if it is down. Never calls back from inside. */
void netd_line_want(struct netd_line *line);

bool netd_line_is_up(const struct netd_line *line);

/* As netd_session_ask(); -ENOTCONN while the line is not up. */
int netd_line_ask(struct netd_line *line, uint16_t op, const void *body, netd_answered answered,
                  void *arg);

/* Asks netd to remove everything and leave, and waits for its end, at most that long; one that is
 * being started is waited for before, and stays if it has networks. No event comes any more, and
 * the line is good for nothing but netd_line_free(). */
void netd_line_leave(struct netd_line *line, uint64_t timeout_usec);

/* What is wrong with the line now, in words; NULL: nothing. Valid until the next call. */
const char *netd_line_problem(struct netd_line *line);

const char *netd_line_engine(const struct netd_line *line); /* "none" while it is down */
const char *netd_line_uplink(const struct netd_line *line); /* lives as long as the line */
int32_t netd_line_anchor(const struct netd_line *line);     /* 0: none */
