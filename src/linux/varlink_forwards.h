/* SPDX-License-Identifier: Apache-2.0 */
/* varlink_forwards.h - the methods about ports of the host: as those of varlink_methods.h. */
#pragma once
#include "report.h"
#include "verbs.h"

#include <jansson.h>

int run_add_forward(const struct verbs *verbs, struct peer *peer, struct call *call,
                    const json_t *params, struct failure *failure);
int run_remove_forward(const struct verbs *verbs, struct peer *peer, struct call *call,
                       const json_t *params, struct failure *failure);
int run_list_forwards(const struct verbs *verbs, struct peer *peer, struct call *call,
                      const json_t *params, struct failure *failure);

/* The parameters of ListForwards' reply. NULL without memory. */
json_t *forwards_reply(const struct broker_report *report);
