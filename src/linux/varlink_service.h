/* SPDX-License-Identifier: Apache-2.0 */
/* varlink_service.h - org.varlink.service: what every Varlink service answers about itself. */
#pragma once
#include "transport_varlink.h"

#include <jansson.h>

/* params fit the interface file. The whole reply; NULL without memory. */
json_t *varlink_service_reply(const char *method, const json_t *params,
                              const struct transport_about *about);
