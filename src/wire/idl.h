/* SPDX-License-Identifier: Apache-2.0 */
/* idl.h - the interface files, read at run time, so that types are declared once.
 *
 * embed.py puts the text of the .varlink files into the program. The reader makes a
 * table of it, and what a client sends is checked against that table: whatever the
 * interface file says is what the broker accepts.
 */
#pragma once
#include "status.h"

#include <jansson.h>
#include <stddef.h>

#define BROKER_INTERFACE  "com.github.nirs.vmnet-broker"
#define SERVICE_INTERFACE "org.varlink.service"

/* The text of an interface file, or NULL. Static. */
const char *idl_text(const char *interface);
/* The name of the i-th interface that is embedded, sorted; NULL behind the last one. */
const char *idl_interface(size_t i);

struct idl; /* one interface, read */
struct idl_method;

/* Returns 0; -EINVAL for text that is no interface definition, with the line in
 * *failure (may be NULL); or -ENOMEM. */
int idl_read(const char *text, struct idl **ret, struct failure *failure);
void idl_free(struct idl *idl); /* NULL is fine */

const char *idl_name(const struct idl *idl);
const struct idl_method *idl_method(const struct idl *idl, const char *name); /* or NULL */
const char *idl_method_name(const struct idl *idl, size_t i); /* NULL behind the last one */

/* Do these parameters (NULL: none) fit what the method takes, or gives back? 0, or
 * -EINVAL with words for the client in *failure, and the name of the parameter in
 * *parameter (may be NULL; borrowed from the interface or from params). Missing or
 * mistyped parameters, unknown ones, and strings with a NUL inside are failures. */
int idl_check(const struct idl *idl, const struct idl_method *method, const json_t *params,
              struct failure *failure, const char **parameter);
int idl_check_reply(const struct idl *idl, const struct idl_method *method, const json_t *params,
                    struct failure *failure);
