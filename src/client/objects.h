/* SPDX-License-Identifier: Apache-2.0 */
/* objects.h - what the broker's replies become in the hands of a caller. */
#pragma once
#include "connection.h"
#include "vmnet-broker.h"

/* From the reply to Acquire. Returns 0, -EPROTO for a reply of the wrong shape, or
 * -ENOMEM; the caller's with vmnet_broker_network_free(). */
int network_from_reply(const struct reply *reply, vmnet_broker_network_ref *ret);

/* From the reply to StartInterface with these options; takes the descriptors out of
 * it. -EPROTO also when they are not exactly as many as asked for, or are no TAP devices. */
int interface_from_reply(struct reply *reply, const vmnet_broker_interface_options *asked,
                         vmnet_broker_interface_ref *ret);

/* The whole type as JSON, for vmnet-brokerctl --json. Borrowed. */
const json_t *network_json(vmnet_broker_network_ref network);

/* The name of the network that it is on. Lives as long as the interface. */
const char *interface_network(vmnet_broker_interface_ref interface);
