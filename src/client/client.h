/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - what vmnet-brokerctl may ask of the library beyond its public header. */
#pragma once
#include "endpoint.h"

/* Which broker to talk to; before the first call. */
void client_choose(enum endpoint_choice choice);

/* Ends the process's connection, and with it all that it holds. */
void client_disconnect(void);

/* The socket of the process's connection, to be watched for its end; -1: none. */
int client_socket(void);
