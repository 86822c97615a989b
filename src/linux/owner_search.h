/* SPDX-License-Identifier: Apache-2.0 */
/* owner_search.h - who has a port of the host, found out while the loop goes on.
 *
 * A search reads up to 40,000 lines and links of /proc, which is 30 ms (port_owner.c), and a
 * client can cause one with each request. So a thread does it, one search after the other,
 * and only so many wait for their turn: whoever comes then is told without an owner.
 */
#pragma once
#include "port_owner.h"

#include <systemd/sd-event.h>

#define OWNER_SEARCHES_MAX 16u

struct owner_search;

/* From the loop. NULL: nobody has it any more. */
typedef void (*owner_found)(void *arg, const struct port_owner *owner);

int owner_search_new(sd_event *event, struct owner_search **ret);
/* done() is not called any more. NULL is fine. */
void owner_search_free(struct owner_search *search);

/* Never blocks, and done() is never called from inside. 0; -EBUSY: so many are waiting
 * already; another negative errno: it cannot be done now. Then done() is not called. */
int owner_search_ask(struct owner_search *search, bool udp, uint16_t port, owner_found done,
                     void *arg);
