/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h - what the broker keeps while it listens to clients, and nothing else. */
#pragma once
#include "confine.h"

/* After everything is open and netd's starter has been forked, before the first client is
 * heard: no capability, even for root, and the system calls below. 0 or a negative errno. */
int broker_sandbox_enter(void);

/* The second half of it. */
int broker_sandbox_calls(void);
