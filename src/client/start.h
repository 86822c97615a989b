/* SPDX-License-Identifier: Apache-2.0 */
/* start.h - starts the user's broker. */
#pragma once
#include "status.h"

#include <stddef.h>

/* Runs `vmnet-broker --user --background` and waits until it says that the socket
 * answers. Several processes may do this at once; one broker comes of it.
 * Returns 0, or a negative errno with *why saying what the program said. */
int start_broker(struct failure *why);

/* Which program that is, into ret[size]: $VMNET_BROKER_PROGRAM; else the one beside our
 * own executable; else the installed one; else whatever PATH has. */
void start_find_program(char *ret, size_t size);
