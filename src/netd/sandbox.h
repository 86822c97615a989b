/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h - what netd keeps once it is inside its namespace, and nothing else. */
#pragma once
#include "confine.h"

/* After anchor_enter(), before the first message of anybody is read: three capabilities
 * over our own namespace, the system calls that its rooms need, no way to get more. 0 or
 * a negative errno. */
int sandbox_enter(void);

/* The second half of it. */
int sandbox_confine_calls(void);
