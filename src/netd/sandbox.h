/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h - what netd keeps once it is inside its namespace, and nothing else. */
#pragma once
#include "confine.h"

#include <stdbool.h>

/* After anchor_enter(), before the first message of anybody is read: three capabilities
 * over our own namespace (and one to end the uplink user's processes, if there is one), the files
 * and system calls that its rooms need, no way to get more. state_path: netd's own directory there.
 * 0 or a negative errno. */
int sandbox_enter(const char *state_path, bool uplink_user);

/* netd and hostside have these in common. */
extern const struct call_rule sandbox_netlink_calls[];
extern const struct call_rule sandbox_name_service_calls[];
/* Nobody of our user may look into the calling process's memory, Landlock or not. */
int sandbox_hide_memory(void);

/* The parts of it that tests look at. */
int sandbox_confine_files(const char *state_path);
int sandbox_confine_calls(void);
