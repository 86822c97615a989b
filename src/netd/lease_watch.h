/* SPDX-License-Identifier: Apache-2.0 */
/* lease_watch.h - hears when dnsmasq gives out an address, by the file it writes that into. */
#pragma once
#include "leases.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct lease_watch;

/* over: it holds no longer. */
typedef void (*lease_changed)(void *arg, const struct lease *lease, bool over);

/* The network's directory, by path and descriptor; both borrowed. What is there now is not
 * told. 0 or a negative errno. */
int lease_watch_new(sd_event *event, const char *path, int dirfd, lease_changed changed, void *arg,
                    struct lease_watch **ret);
void lease_watch_free(struct lease_watch *watch); /* NULL is fine, also for the next */
/* Tells of all there are, for somebody who has heard of none. */
void lease_watch_tell_all(const struct lease_watch *watch);
