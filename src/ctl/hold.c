/* SPDX-License-Identifier: Apache-2.0 */
#include "hold.h"

#include "client.h"
#include "ctl.h"

#include <vmnet-broker.h>

int hold_fd(void)
{
    return client_socket();
}

static bool acquire(const char *name)
{
    vmnet_broker_network_ref network = vmnet_broker_acquire_network(name, NULL);
    bool got = network != NULL;
    vmnet_broker_network_free(network);
    return got;
}

bool hold_again(struct hold *hold)
{
    client_disconnect();
    for (const char *const *name = hold->networks; *name; name++) {
        if (acquire(*name))
            continue;
        if (!hold->lost)
            complain("the broker is gone, and with it our hold on network '%s'; another one: %s",
                     *name, vmnet_broker_last_error());
        hold->lost = true;
        client_disconnect(); /* all of them, or none */
        return false;
    }
    if (hold->lost)
        complain("our networks are held again");
    hold->lost = false;
    return true;
}
