/* SPDX-License-Identifier: Apache-2.0 */
#include "forward_spec.h"

#include "ctl.h"
#include "port_owner.h"
#include "str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 4

static const char *form_text(enum forward_form form)
{
    switch (form) {
    case FORWARD_RUN:
        return "[ADDRESS:]HOSTPORT:VMPORT[/udp]";
    case FORWARD_ADD:
        return "[ADDRESS:]HOSTPORT:VM:VMPORT[/udp]";
    default:
        return "[ADDRESS:]PORT[/udp]";
    }
}

/* Cuts the text at its colons, but for those in brackets, which are taken off. Returns how
 * many fields there are; 0: it makes no sense. */
static size_t split(char *text, char *fields[static FIELDS_MAX])
{
    size_t n = 0;

    for (char *at = text; at && n < FIELDS_MAX; n++) {
        char *end = *at == '[' ? strchr(at, ']') : NULL;

        if (*at == '[' && !end)
            return 0;
        fields[n] = end ? at + 1 : at;
        if (end)
            *end++ = '\0';
        else
            end = at + strcspn(at, ":");
        if (*end != ':' && *end != '\0')
            return 0;
        at = *end ? end + 1 : NULL;
        *end = '\0';
        if (!at)
            return n + 1;
    }
    return 0;
}

static int read_protocol(char *text, enum forward_protocol *ret)
{
    char *slash = strrchr(text, '/');

    *ret = FORWARD_TCP;
    if (!slash)
        return 0;
    *slash++ = '\0';
    if (strcmp(slash, "udp") == 0)
        *ret = FORWARD_UDP;
    return *ret == FORWARD_UDP || strcmp(slash, "tcp") == 0 ? 0 : -EINVAL;
}

static int read_port(const char *text, uint16_t *ret)
{
    unsigned long port;
    int r = str_to_uint(text, 1, UINT16_MAX, &port);

    if (r == 0)
        *ret = (uint16_t)port;
    return r;
}

static int read_fields(struct forward_spec *spec, enum forward_form form)
{
    char *fields[FIELDS_MAX] = { 0 };
    size_t wanted = (size_t)form + 1, n, i = 0; /* one more a form */

    if (read_protocol(spec->text, &spec->protocol) < 0)
        return -EINVAL;
    n = split(spec->text, fields);
    if (n != wanted && n != wanted + 1)
        return -EINVAL;
    if (n > wanted && address_parse(fields[i++], &spec->listen) < 0)
        return -EINVAL;
    if (read_port(fields[i++], &spec->external_port) < 0)
        return -EINVAL;
    if (form == FORWARD_ADD)
        spec->target = fields[i++];
    return form == FORWARD_DOOR ? 0 : read_port(fields[i], &spec->internal_port);
}

int forward_spec_parse(const char *text, enum forward_form form, struct forward_spec *ret,
                       struct failure *why)
{
    *ret = (struct forward_spec){ .text = strdup(text) };
    if (!ret->text)
        return failure_set(why, -ENOMEM, "out of memory");
    if (read_fields(ret, form) < 0)
        return failure_set(why, -EINVAL,
                           "'%s' is not of the form %s, with ports from 1 to 65535 and IPv6 "
                           "addresses in brackets",
                           text, form_text(form));
    return 0;
}

void forward_spec_free(struct forward_spec *spec)
{
    free(spec->text);
    *spec = (struct forward_spec){ 0 };
}

json_t *forward_spec_json(const struct forward_spec *spec, const char *network)
{
    char listen[ADDR6_TEXT];

    return json_pack("{s:s, s:s, s:s*, s:i}", "network_name", network, "protocol",
                     spec->protocol == FORWARD_UDP ? "udp" : "tcp", "listen_address",
                     spec->listen.version ? address_format(&spec->listen, listen) : NULL,
                     "external_port", (int)spec->external_port);
}

void forward_spec_say_owner(const struct forward_spec *spec)
{
    struct port_owner owner;
    char words[PORT_OWNER_TEXT];

    if (port_owner_find(spec->protocol == FORWARD_UDP, spec->external_port, &owner) == 0 &&
        owner.pid != 0)
        complain("port %u is that of %s", spec->external_port, port_owner_words(&owner, words));
}
