/* SPDX-License-Identifier: Apache-2.0 */
/* xpc_request.h - what a client's dictionary asks for. */
#pragma once
#include <stdbool.h>
#include <xpc/xpc.h>

enum xpc_command { XPC_ACQUIRE, XPC_LIST, XPC_STATUS, XPC_STOP, XPC_COMMANDS };

/* Which command it is and for which network (in the request; NULL: none). Returns NULL, or in
 * words what is wrong with it; then nothing is set. */
const char *xpc_request_parse(xpc_object_t request, enum xpc_command *ret,
                              const char **ret_network);

/* Of a command beyond the seed protocol, whose replies have words? */
bool xpc_request_is_ours(xpc_object_t request);
