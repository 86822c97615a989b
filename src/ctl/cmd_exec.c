/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_exec.c - runs a command inside the namespace of a user instance's networks.
 *
 * There, the command gets the capabilities that tools like ping, tcpdump and ip want. They
 * are ambient, because the user is not 0 inside: without that they would be gone with
 * execve().
 */
#include "child.h"
#include "inside.h"
#include "mem.h"

#include <cap-ng.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>

static const int capabilities[] = { CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE };

static int keep_capabilities(void)
{
    if (capng_get_caps_process() < 0)
        return -EPERM;
    for (size_t i = 0; i < N_ELEMENTS(capabilities); i++)
        (void)capng_update(CAPNG_ADD, CAPNG_INHERITABLE, (unsigned)capabilities[i]);
    if (capng_apply(CAPNG_SELECT_CAPS) < 0)
        return -EPERM;
    for (size_t i = 0; i < N_ELEMENTS(capabilities); i++)
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capabilities[i], 0, 0) < 0)
            return -errno;
    return 0;
}

int cmd_exec(struct ctl *ctl, int argc, char **argv)
{
    __attribute__((cleanup(inside_clear))) struct inside inside = { 0 };
    int r = common_options(ctl, argc, argv, true, 1, INT_MAX);
    if (r >= 0)
        return r;
    if (inside_find(ctl, &inside) < 0 || inside_enter(&inside) < 0)
        return EXIT_OURS;
    r = keep_capabilities();
    if (r < 0) {
        complain("cannot keep the namespace's capabilities: %s", strerror(-r));
        return EXIT_OURS;
    }
    return child_exec(argv + optind);
}
