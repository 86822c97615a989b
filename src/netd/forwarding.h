/* SPDX-License-Identifier: Apache-2.0 */
/* forwarding.h - whether a link of the host's forwards what comes in by it.
 *
 * IPv4 has a switch a link. IPv6 has one since Linux 6.17 (force_forwarding); before, only one
 * for all links, which makes the host forget the routes that routers have told it: that one we
 * never touch.
 */
#pragma once
#include <stdbool.h>

/* AF_INET, AF_INET6. 1, 0, -ENODEV: no such link, -EOPNOTSUPP: no such switch here. */
int forwarding_get(int family, const char *link);
/* 0 or a negative errno, as above. */
int forwarding_set(int family, const char *link, bool on);
/* The host is a router by its administrator's will: then every link forwards. */
bool forwarding_everywhere(int family);
