/* SPDX-License-Identifier: Apache-2.0 */
/* forward_spec.h - ports of the host, and where they lead, as people write them:
 *
 *   [LISTEN:]PORT[/udp]                  one of the host           forward remove
 *   [LISTEN:]PORT:VMPORT[/udp]           to the VM that is run     run -p
 *   [LISTEN:]PORT:VM:VMPORT[/udp]        to some VM                forward add
 *
 * LISTEN is an address of the host, VM an address or a name; an IPv6 address stands in brackets.
 */
#pragma once
#include "addr.h"
#include "definition.h"
#include "status.h"

#include <jansson.h>

enum forward_form { FORWARD_DOOR, FORWARD_RUN, FORWARD_ADD };

struct forward_spec {
    char *text; /* owned; target points into it */
    enum forward_protocol protocol;
    struct address listen; /* version 0: any */
    uint16_t external_port, internal_port;
    const char *target; /* an address without brackets, or a name; NULL: none */
};

/* 0; or -EINVAL or -ENOMEM with *why. forward_spec_free() also after a failure. */
int forward_spec_parse(const char *text, enum forward_form form, struct forward_spec *ret,
                       struct failure *why);
void forward_spec_free(struct forward_spec *spec);

/* What AddForward and RemoveForward have in common; NULL without memory. */
json_t *forward_spec_json(const struct forward_spec *spec, const char *network);

/* Who has that port, when it is another process of this user's: the broker cannot see whose.
 * On standard error. */
void forward_spec_say_owner(const struct forward_spec *spec);
