/* SPDX-License-Identifier: Apache-2.0 */
/* lifecycle.h - the life of one shared network, as a pure table.
 *
 *            acquire              created            last user left
 *   GONE ------------> CREATING ----------> READY <----------------> IDLE
 *     ^                   |                          acquire          |
 *     |   create failed   |                                           | timeout
 *     +-------------------+                                           v
 *     +----------------------- removed --------------------------- REMOVING
 *
 * A user is a connection that holds or awaits the network, or an interface of
 * it that is still open in some process. Nothing here touches the kernel, the
 * clock or a socket: lifecycle_step() only says which state comes next and
 * what the caller has to do about it.
 */
#pragma once
