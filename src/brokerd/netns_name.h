/* SPDX-License-Identifier: Apache-2.0 */
/* netns_name.h - the namespace's name for `ip netns`, where root has started the system's broker.
 *
 *   /run/netns/vmnet-broker -> /run/vmnet-netd/netns -> /proc/ANCHOR/ns/net
 *
 * The first link only root can make and remove; the second is netd's. A name that leads nowhere
 * must not stay: `ip -all netns exec` would run its command twice in what comes after it. But no
 * process of ours is root when it is time for that. So one that does nothing else waits for the
 * end of broker and namespace, as netd's user with the right to ignore who owns a directory.
 */
#pragma once
#include "confine.h"

/* Makes the first link to `target`, and forks who will remove it: as `user`, once `leash` has
 * ended, and with it the broker, and then the anchor. Somebody else's namespace of that name is
 * left alone. By root, while there is one thread. Says what did not work: then there is no name. */
void netns_name(const char *target, const struct user_shoes *user, int leash);
