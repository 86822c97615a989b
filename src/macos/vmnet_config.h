/* SPDX-License-Identifier: Apache-2.0 */
/* vmnet_config.h - a definition as a vmnet configuration. */
#pragma once
#include "definition.h"
#include "status.h"

#include <vmnet/vmnet.h>

/* What vmnet means by a status, with the remedy where there is one. Static. */
const char *vmnet_status_text(vmnet_return_t status);

/* All of it: a network that exists cannot be changed. What vmnet lacks is refused (-ENOTSUP,
 * with the place in the file), never left out silently. Returns a configuration
 * that the caller gives to CFRelease(), or NULL with *failure filled in. */
vmnet_network_configuration_ref vmnet_config_new(const struct definition *def,
                                                 struct failure *failure);
