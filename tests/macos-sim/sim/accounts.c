/* SPDX-License-Identifier: Apache-2.0 */
/* accounts.c - group memberships that a test makes up. */
#include "sim.h"

#include <grp.h>
#include <stdio.h>
#include <string.h>
#undef getgrouplist

/* As on macOS, -1 without the number that there would be. */
int sim_getgrouplist(const char *name, int primary, int *groups, int *n_groups)
{
    char path[256], user[64];
    int gid, room = *n_groups, n = *n_groups;
    if (getgrouplist(name, (gid_t)primary, (gid_t *)groups, &n) < 0)
        return -1;
    (void)snprintf(path, sizeof path, "%s/groups", sim_dir());
    FILE *f = fopen(path, "re");
    while (f && fscanf(f, "%63s %d", user, &gid) == 2) {
        if (strcmp(user, name) != 0)
            continue;
        if (n < room)
            groups[n] = gid;
        n++;
    }
    if (f)
        (void)fclose(f);
    if (n > room)
        return -1;
    *n_groups = n;
    return 0;
}
