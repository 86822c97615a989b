/* SPDX-License-Identifier: Apache-2.0 */
/* host_routes.h - the IPv4 ranges that the host itself uses.
 *
 * Asked of the kernel whenever a subnet is chosen, not kept up to date: a choice is
 * rare, the answer takes 0.1 ms on an ordinary host (2.3 ms with 2000 routes), and what was
 * read a minute ago would be wrong exactly when a VPN has just come up.
 */
#pragma once
#include "subnet.h"

/* Adds every route of every table but `local`, and every address of every link with its
 * prefix, to the list, in the namespace of the caller. own: what the names of our own links
 * there begin with, which are in nobody's way; NULL: there are none. 0 or a negative errno; then
 * the list may have got a part of them. */
int host_routes_read(struct taken_list *list, const char *own);
