/* SPDX-License-Identifier: Apache-2.0 */
/* varlink_methods.h - between the JSON of a call and the core's verbs, both ways. */
#pragma once
#include "event.h"
#include "lease.h"
#include "net_handle.h"
#include "report.h"
#include "transport_varlink.h"
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

/* What becomes the parameters of a reply. NULL without memory. */
json_t *acquire_reply(const struct net_handle *handle);
json_t *start_interface_reply(const struct iface_handle *handle);
json_t *list_reply(const struct broker_report *report);     /* a plain call: all of them */
json_t *list_reply_one(const struct network_view *network); /* "more": NULL for none */
json_t *status_reply(const struct broker_report *report, const struct transport_about *about);

json_t *event_reply(const struct event *event);
json_t *leases_reply(const struct lease_view *leases, size_t n);

/* A string whatever the bytes: what is not UTF-8 becomes '?'. */
json_t *text_json(const char *text);
