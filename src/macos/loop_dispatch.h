/* SPDX-License-Identifier: Apache-2.0 */
/* loop_dispatch.h - the event loop on macOS: libdispatch's main queue.
 *
 * Everything that touches the broker's state runs on that queue, one block at a
 * time. Its clock is the one that dispatch_time() uses: it stands still while
 * the Mac sleeps, so a network is not removed under a VM that sleeps with it.
 */
#pragma once
#include "loop.h"

/* There is one main queue, so there is one loop; borrowed for good. quit() calls leave() on
 * the main queue once the current event is over; leave() decides whether to exit. */
struct loop loop_dispatch(void (*leave)(int exit_code));
