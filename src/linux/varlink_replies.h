/* SPDX-License-Identifier: Apache-2.0 */
/* varlink_replies.h - from what the core shows to the JSON of a reply. */
#pragma once
#include "event.h"
#include "lease.h"
#include "net_handle.h"
#include "report.h"
#include "transport_varlink.h"

#include <jansson.h>

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
