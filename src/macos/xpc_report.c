/* SPDX-License-Identifier: Apache-2.0 */
#include "xpc_report.h"

#include "net_handle.h"

#include <unistd.h>

/* Appends to an array, or sets in a dictionary, and lets go of the value. */
static void append(xpc_object_t array, xpc_object_t value)
{
    xpc_array_append_value(array, value);
    xpc_release(value);
}

static void set(xpc_object_t dictionary, const char *key, xpc_object_t value)
{
    xpc_dictionary_set_value(dictionary, key, value);
    xpc_release(value);
}

static void set_addresses(xpc_object_t d, const struct net_handle *handle)
{
    char text[PREFIX6_TEXT];
    uint8_t gateway[16];

    xpc_dictionary_set_string(d, "ipv4_subnet", subnet4_format(handle->subnet, text));
    xpc_dictionary_set_string(d, "ipv4_gateway",
                              addr4_format(subnet4_gateway(handle->subnet), text));
    xpc_dictionary_set_string(d, "ipv6_prefix", prefix6_format(&handle->prefix6, text));
    prefix6_gateway(&handle->prefix6, gateway);
    xpc_dictionary_set_string(d, "ipv6_gateway", addr6_format(gateway, text));
}

static xpc_object_t network(const struct network_view *view)
{
    xpc_object_t d = xpc_dictionary_create_empty();
    xpc_dictionary_set_string(d, "name", view->def->name);
    xpc_dictionary_set_string(d, "mode", net_mode_name(view->def->mode));
    xpc_dictionary_set_int64(d, "mtu", view->def->mtu);
    set_addresses(d, view->handle);
    return d;
}

static xpc_object_t network_status(const struct network_view *view)
{
    xpc_object_t d = xpc_dictionary_create_empty();
    xpc_dictionary_set_string(d, "name", view->def->name);
    xpc_dictionary_set_string(d, "mode", net_mode_name(view->def->mode));
    xpc_dictionary_set_string(d, "state", view->state);
    xpc_dictionary_set_int64(d, "clients", view->clients);
    if (view->handle)
        set(d, "network", network(view));
    return d;
}

static xpc_object_t clients(const struct network_view *view)
{
    xpc_object_t array = xpc_array_create(NULL, 0);
    for (size_t i = 0; i < view->n_holders; i++) {
        xpc_object_t d = xpc_dictionary_create_empty();
        xpc_dictionary_set_int64(d, "pid", view->holders[i].pid);
        xpc_dictionary_set_int64(d, "uid", view->holders[i].uid);
        append(array, d);
    }
    return array;
}

static xpc_object_t key_names(definition_keys keys)
{
    xpc_object_t array = xpc_array_create(NULL, 0);
    for (unsigned key = 0; key < DEFINITION_KEYS; key++)
        if (keys & 1u << key)
            append(array, xpc_string_create(definition_key_name(key)));
    return array;
}

static xpc_object_t details(const struct network_view *view)
{
    xpc_object_t d = xpc_dictionary_create_empty();
    set(d, "status", network_status(view));
    if (view->definition->description)
        xpc_dictionary_set_string(d, "description", view->definition->description);
    if (view->definition->file)
        xpc_dictionary_set_string(d, "definition", view->definition->file);
    set(d, "pending", key_names(view->pending));
    set(d, "clients", clients(view));
    return d;
}

static xpc_object_t broker_status(const struct broker_report *report, const char *version)
{
    xpc_object_t d = xpc_dictionary_create_empty();
    xpc_dictionary_set_string(d, "version", version);
    xpc_dictionary_set_string(d, "instance", "system");
    xpc_dictionary_set_int64(d, "pid", getpid());
    xpc_dictionary_set_int64(d, "uptime_seconds", (int64_t)(report->uptime_usec / 1000000));
    return d;
}

xpc_object_t xpc_report(const struct broker_report *report, const char *version)
{
    xpc_object_t result = xpc_dictionary_create_empty(), networks = xpc_array_create(NULL, 0);
    for (size_t i = 0; i < report->n_networks; i++)
        append(networks, report->detailed ? details(&report->networks[i])
                                          : network_status(&report->networks[i]));
    set(result, "networks", networks);
    if (report->detailed)
        set(result, "broker", broker_status(report, version));
    return result;
}
