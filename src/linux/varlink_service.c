/* SPDX-License-Identifier: Apache-2.0 */
#include "varlink_service.h"
#include "idl.h"
#include "varlink_route.h"

#include <string.h>

static json_t *info(const struct transport_about *about)
{
    json_t *interfaces = json_array();
    for (size_t i = 0; idl_interface(i); i++)
        (void)json_array_append_new(interfaces, json_string(idl_interface(i)));
    return json_pack("{s:{s:s, s:s, s:s, s:s, s:o}}", "parameters", "vendor", "vmnet-broker",
                     "product", "vmnet-broker", "version", about->version, "url",
                     "https://github.com/nirs/vmnet-broker", "interfaces", interfaces);
}

static json_t *description(const json_t *params)
{
    const char *interface = json_string_value(json_object_get(params, "interface"));
    const char *text = idl_text(interface);
    if (!text)
        return error_message(SERVICE_INTERFACE ".InterfaceNotFound",
                             json_pack("{s:s}", "interface", interface));
    return json_pack("{s:{s:s}}", "parameters", "description", text);
}

json_t *varlink_service_reply(const char *method, const json_t *params,
                              const struct transport_about *about)
{
    if (strcmp(method, "GetInfo") == 0)
        return info(about);
    if (strcmp(method, "GetInterfaceDescription") == 0)
        return description(params);
    return error_message(SERVICE_INTERFACE ".MethodNotImplemented",
                         json_pack("{s:s}", "method", method));
}
