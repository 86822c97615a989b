/* SPDX-License-Identifier: Apache-2.0 */
/* grp.h - Linux's, and the groups of a user as macOS tells them: int, not gid_t. */
#pragma once
#include_next <grp.h>

#define getgrouplist sim_getgrouplist

/* What the machine says, and the lines "USER GID" of the file $SIM_DIR/groups. */
int sim_getgrouplist(const char *name, int primary, int *groups, int *n_groups);
