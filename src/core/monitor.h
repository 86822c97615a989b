/* SPDX-License-Identifier: Apache-2.0 */
/* monitor.h - tells those who watch what happens.
 *
 * Everybody learns of networks, and how many clients and interfaces they have; who these are
 * is told only to those who may see them in Status as well.
 */
#pragma once
#include "event.h"

struct broker;
struct network;
struct peer;

void monitor_tell(struct broker *broker, const struct event *event);

/* The peer has the network from now on, or no longer. */
void monitor_tell_came(const struct peer *peer, const struct network *net);
/* left: how many clients the network has without it. */
void monitor_tell_left(const struct peer *peer, const struct network *net, unsigned left);
