/* SPDX-License-Identifier: Apache-2.0 */
/* xpc_call.h - calls of the broker, for the verbs of vmnet-brokerctl. */
#pragma once
#include <xpc/xpc.h>

/* lost: called when the broker dies, which `acquire` must hear of; NULL: nobody minds. */
xpc_connection_t xpc_call_open(void (*lost)(void));

/* What the broker answers, whatever it is; to be released. network: NULL when the command is
 * about none. */
xpc_object_t xpc_call(xpc_connection_t connection, const char *command, const char *network);

/* The same, where only a good answer helps: NULL, and all is said. */
xpc_object_t xpc_call_or_complain(xpc_connection_t connection, const char *command,
                                  const char *network);
