/* SPDX-License-Identifier: Apache-2.0 */
/* definition_edit.c - see definition_edit.h. jansson keeps the order of keys. */
#include "definition_edit.h"

#include "json_text.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

DEFINE_AUTO(json_t *, json_decref);

static const char *protocol_name(enum forward_protocol protocol)
{
    return protocol == FORWARD_UDP ? "udp" : "tcp";
}

/* The definition, and its list of forwards (borrowed), which is made if it has none. */
static int read_text(const char *text, size_t len, json_t **ret, json_t **ret_list,
                     struct failure *why)
{
    const char *key = definition_key_name(KEY_PORT_FORWARDING);
    json_error_t error;
    AUTO(json_decref) json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    json_t *list = json_object_get(root, key);

    if (!json_is_object(root))
        return failure_set(why, -EBADMSG, "it is no JSON object: %s", root ? "" : error.text);
    if (!list && json_object_set_new(root, key, json_array()) < 0)
        return failure_set(why, -ENOMEM, "out of memory");
    list = json_object_get(root, key);
    if (!json_is_array(list))
        return failure_set(why, -EBADMSG, "its \"%s\" is no list", key);
    *ret = take_ptr(&root);
    *ret_list = list;
    return 0;
}

static bool is_port(const json_t *item, enum forward_protocol protocol, uint16_t port)
{
    const char *name = json_string_value(json_object_get(item, "protocol"));

    return name && strcmp(name, protocol_name(protocol)) == 0 &&
           json_integer_value(json_object_get(item, "external_port")) == port;
}

static bool is_version(const json_t *item, unsigned version)
{
    const char *text = json_string_value(json_object_get(item, "address"));
    struct address address;

    return text && address_parse(text, &address) == 0 && address.version == version;
}

static json_t *forward_json(const struct forward *f)
{
    char address[ADDR6_TEXT];

    return json_pack("{s:s, s:i, s:s, s:i}", "protocol", protocol_name(f->protocol),
                     "external_port", (int)f->external_port, "address",
                     address_format(&f->address, address), "internal_port", (int)f->internal_port);
}

static int write_text(const json_t *root, char **ret, struct failure *why)
{
    AUTO_FREE char *text = NULL;
    int r = json_text(root, JSON_INDENT(2), &text);
    size_t len = r == 0 ? strlen(text) : 0;
    char *more = r == 0 ? realloc(text, len + 2) : NULL;

    if (!more)
        return failure_set(why, -ENOMEM, "out of memory");
    (void)take_ptr(&text);
    memcpy(more + len, "\n", 2);
    *ret = more;
    return 0;
}

int definition_add_forward(const char *text, size_t len, const struct forward *forward, char **ret,
                           struct failure *why)
{
    AUTO(json_decref) json_t *root = NULL;
    json_t *list = NULL, *item;
    size_t i;
    int r = read_text(text, len, &root, &list, why);

    if (r < 0)
        return r;
    json_array_foreach (list, i, item)
        if (is_port(item, forward->protocol, forward->external_port) &&
            is_version(item, forward->address.version))
            return failure_set(why, -EEXIST,
                               "%s port %u is forwarded there already: remove it first",
                               protocol_name(forward->protocol), forward->external_port);
    if (json_array_append_new(list, forward_json(forward)) < 0)
        return failure_set(why, -ENOMEM, "out of memory");
    return write_text(root, ret, why);
}

int definition_remove_forward(const char *text, size_t len, enum forward_protocol protocol,
                              uint16_t external_port, char **ret, struct failure *why)
{
    AUTO(json_decref) json_t *root = NULL;
    json_t *list = NULL;
    int r = read_text(text, len, &root, &list, why);

    if (r < 0)
        return r;
    size_t before = json_array_size(list);
    for (size_t i = before; i-- > 0;)
        if (is_port(json_array_get(list, i), protocol, external_port))
            (void)json_array_remove(list, i);
    if (json_array_size(list) == before)
        return failure_set(why, -ENOENT, "%s port %u is not forwarded there",
                           protocol_name(protocol), external_port);
    if (json_array_size(list) == 0)
        (void)json_object_del(root, definition_key_name(KEY_PORT_FORWARDING));
    return write_text(root, ret, why);
}
