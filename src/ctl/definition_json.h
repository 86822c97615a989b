/* SPDX-License-Identifier: Apache-2.0 */
/* definition_json.h - a definition written out: every key with the value that counts. */
#pragma once
#include "definition.h"

#include <jansson.h>

/* What can be left to the daemon (subnet, prefix, idle time, domain) and is, is not in it. As a
 * file, it defines the same network. NULL without memory. */
json_t *definition_json(const struct definition *definition);
