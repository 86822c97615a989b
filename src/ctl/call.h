/* SPDX-License-Identifier: Apache-2.0 */
/* call.h - raw calls, for the verbs that the library does not cover.
 *
 * They ask, and so never start a broker. */
#pragma once
#include "ctl.h"
#include "endpoint.h"

/* Connects to the broker that runs. 0; -ENOTCONN, saying nothing: none runs; or another
 * negative errno, and standard error knows why. */
int call_open(const struct ctl *ctl, struct connection *c);

/* One call. 0 with *ret to be cleared; a negative errno when it failed, said. network:
 * what the call is about, for the words; may be NULL. parameters: taken over. */
int call_broker(struct connection *c, const char *method, json_t *parameters, const char *network,
                struct reply *ret);

/* Connects for the one call about one network, or all of them (NULL). 0 with *ret to be cleared;
 * -ENOTCONN, saying nothing: no broker runs; or another negative errno, said. */
int call_about(const struct ctl *ctl, const char *method, const char *network, struct reply *ret);

/* Says why a reply is an error; 0 when it is none. */
int call_check(const struct reply *reply, const char *network);

/* Adds the NetworkStatus of each network that exists to the array. 0, or a negative errno,
 * said. */
int call_list(struct connection *c, json_t *networks);

/* On standard error. Returns the exit status of who wanted to know what there is: a user without a
 * broker has no network, and the first one starts it; a system's broker is a service, which is
 * there or has failed. */
int say_not_running(const struct ctl *ctl);

#define AUTO_CONNECTION __attribute__((cleanup(connection_close))) struct connection
