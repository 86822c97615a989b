/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - the barest client: bytes out, bytes in until NUL, no JSON library.
 *
 * What is measured is the broker, so its client must cost next to nothing.
 */
#pragma once
#include "addr.h"

#include <stddef.h>

int client_connect(const char *path);
/* Sends a request (its NUL included) and reads one reply into buf as text. Returns
 * its length; *fd gets a passed descriptor (-1: none) and may be NULL. */
size_t client_call(int sock, const char *request, char *buf, size_t size, int *fd);
/* The same, and gives up when the reply is an error. */
size_t client_must(int sock, const char *request, char *buf, size_t size, int *fd);
/* The first text called `key` in a reply, or as much of it as there is room; gives up without. */
void client_text(const char *reply, const char *key, char *text, size_t size);
struct mac client_mac(const char *reply); /* an interface's */
/* The median time of an Acquire of "host", which exists, for a client that asks now and then, as
 * a program that starts VMs does. In microseconds. */
double client_polite_median(int sock);

#define CALL(method, parameters)                                                                   \
    "{\"method\":\"com.github.nirs.vmnet-broker." method "\",\"parameters\":{" parameters "}}"
#define ACQUIRE(name)  CALL("Acquire", "\"network_name\":\"" name "\"")
#define RELEASE(name)  CALL("Release", "\"network_name\":\"" name "\"")
#define START_ON(name) CALL("StartInterface", "\"network_name\":\"" name "\"")
