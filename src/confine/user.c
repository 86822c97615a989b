/* SPDX-License-Identifier: Apache-2.0 */
/* user.c - root becomes an ordinary user; see confine.h.
 *
 * The order is the kernel's: the bounding set while there is CAP_SETPCAP, groups while there is
 * CAP_SETGID, the user last of the ids, and only then what is kept, since changing the user takes
 * the ambient set away.
 */
#include "confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

static bool keeps(const struct user_shoes *shoes, int capability)
{
    for (size_t i = 0; i < shoes->n_capabilities; i++)
        if (shoes->capabilities[i] == capability)
            return true;
    return false;
}

/* As far as the kernel knows any. */
static int bound(const struct user_shoes *shoes)
{
    for (int c = 0; prctl(PR_CAPBSET_READ, c) >= 0; c++)
        if (!keeps(shoes, c) && prctl(PR_CAPBSET_DROP, c) < 0)
            return -errno;
    return 0;
}

static int become(const struct user_shoes *shoes)
{
    if (setgroups(shoes->n_groups, shoes->groups) < 0 ||
        setresgid(shoes->gid, shoes->gid, shoes->gid) < 0 ||
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
        setresuid(shoes->uid, shoes->uid, shoes->uid) < 0 || prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
        return -errno;
    return 0;
}

static int keep(const struct user_shoes *shoes)
{
    static const capng_type_t sets = CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_AMBIENT;

    capng_clear(CAPNG_SELECT_ALL);
    for (size_t i = 0; i < shoes->n_capabilities; i++)
        if (capng_update(CAPNG_ADD, sets, (unsigned)shoes->capabilities[i]) < 0)
            return -EPERM;
    if (capng_apply(CAPNG_SELECT_CAPS) < 0 || capng_apply(CAPNG_SELECT_AMBIENT) < 0)
        return -EPERM;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int confine_to_user(const struct user_shoes *shoes)
{
    int r = bound(shoes);

    if (r == 0)
        r = become(shoes);
    return r < 0 ? r : keep(shoes);
}
