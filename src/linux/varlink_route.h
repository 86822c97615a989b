/* SPDX-License-Identifier: Apache-2.0 */
/* varlink_route.h - from a message to the method that it calls, or to the error that it gets.
 *
 * What is declared in the interface files is what is accepted: routing reads them once and
 * holds every call against them. It changes nothing and knows no connection.
 */
#pragma once
#include "status.h"
#include "varlink_methods.h"

#include <jansson.h>

struct routes; /* the interface files, read */

int routes_new(struct routes **ret);     /* 0 or a negative errno, logged if a file is wrong */
void routes_free(struct routes *routes); /* NULL is fine */

struct route {
    const char *name;                    /* "Acquire" */
    const struct varlink_method *method; /* ours; NULL: a method of org.varlink.service */
    const json_t *params;                /* they fit the interface file; NULL: none */
};

/* message: a call whose member `method` is `method`, "interface.Method"; borrowed, as is
 * what *ret points to. Returns 0, or -EINVAL with the reply that the caller gets in *error
 * (its own; NULL without memory), and words for the log in why, if it is worth them. */
int route_find(const struct routes *routes, const char *method, json_t *message, struct route *ret,
               json_t **error, struct failure *why);

/* Whole replies; NULL without memory. error: with its interface. params: taken over. */
json_t *error_message(const char *error, json_t *params);
json_t *status_message(enum status status, const char *words);
