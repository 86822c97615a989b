/* SPDX-License-Identifier: Apache-2.0 */
/* varlink_methods.h - from the JSON of a call to the core's verbs. */
#pragma once
#include "verbs.h"

#include <jansson.h>

/* params fit the interface file (idl_check()); NULL: none. Either the verb has been
 * called, which answers the call, and 0 is returned, or -EINVAL with *failure. */
struct varlink_method {
    const char *name; /* "Acquire" */
    int (*run)(const struct verbs *verbs, struct peer *peer, struct call *call,
               const json_t *params, struct failure *failure);
    bool more_only; /* it has no single answer */
};

const struct varlink_method *varlink_method_find(const char *name); /* or NULL */
const struct varlink_method *varlink_method_at(size_t i);           /* NULL behind the last one */
