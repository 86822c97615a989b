/* SPDX-License-Identifier: Apache-2.0 */
/* xpc_json.h - an XPC value as JSON text, for `vmnet-brokerctl --json`. */
#pragma once
#include <stdio.h>
#include <xpc/xpc.h>

/* Keys in alphabetical order, since XPC has none. What JSON lacks (data, uuid) is null. */
void xpc_json_write(FILE *out, xpc_object_t value);
