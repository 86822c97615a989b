/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"
#include "host_routes.h"
#include "netd_msg.h"
#include "surroundings.h"

#include <errno.h>
#include <string.h>

int surroundings_of_host(const struct ctl *ctl, struct taken_list *routes, json_t *networks)
{
    AUTO_CONNECTION c = CONNECTION_INIT;

    int r = host_routes_read(routes, NETD_HOST_LINKS);
    if (r < 0) {
        complain("cannot read the host's routes: %s", strerror(-r));
        return r;
    }
    r = call_open(ctl, &c);
    if (r == -ENOTCONN)
        return 0;
    return r < 0 ? r : call_list(&c, networks);
}

/* There is no key that neither instance has; which one is to have the network is not known. */
void surroundings_lack(const struct definition *definition, struct complaints *out)
{
    (void)definition, (void)out;
}
