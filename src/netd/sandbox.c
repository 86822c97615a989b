/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c - see sandbox.h.
 *
 * The capabilities hold over the anchor's user namespace alone: over the host, netd
 * is its user. They are also gone from the bounding set, so that no exec() brings
 * them back.
 */
#include "sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>

int sandbox_enter(void)
{
    capng_clear(CAPNG_SELECT_ALL);
    /* NET_ADMIN: links, rules, TAPs. NET_RAW: sockets bound to a device.
     * NET_BIND_SERVICE: the relay's port 53. */
    if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                      CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, -1) < 0 ||
        capng_apply(CAPNG_SELECT_ALL) < 0)
        return -EPERM;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}
