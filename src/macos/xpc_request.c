/* SPDX-License-Identifier: Apache-2.0 */
#include "xpc_request.h"

#include <string.h>

#define OUR_PREFIX "vmnet-broker."

static const struct {
    const char *name;
    bool needs_network, may_name_network;
} commands[XPC_COMMANDS] = {
    [XPC_ACQUIRE] = { "acquire", true, true },
    [XPC_LIST] = { OUR_PREFIX "list", false, false },
    [XPC_STATUS] = { OUR_PREFIX "status", false, true },
    [XPC_STOP] = { OUR_PREFIX "stop", false, false },
};

/* NULL unless the value is there and is a string. */
static const char *get_string(xpc_object_t request, const char *key)
{
    xpc_object_t value = xpc_dictionary_get_value(request, key);
    if (!value || xpc_get_type(value) != XPC_TYPE_STRING)
        return NULL;
    return xpc_string_get_string_ptr(value);
}

const char *xpc_request_parse(xpc_object_t request, enum xpc_command *ret, const char **ret_network)
{
    const char *name = get_string(request, "command");
    enum xpc_command command = 0;

    if (!name)
        return "the string 'command' is missing";
    while (command < XPC_COMMANDS && strcmp(commands[command].name, name) != 0)
        command++;
    if (command == XPC_COMMANDS)
        return "the command is unknown";

    bool has_network = xpc_dictionary_get_value(request, "network_name") != NULL;
    const char *network = get_string(request, "network_name");
    if (commands[command].needs_network && !has_network)
        return "the string 'network_name' is missing";
    if (commands[command].may_name_network && has_network && !network)
        return "'network_name' is not a string";
    *ret = command;
    *ret_network = commands[command].may_name_network ? network : NULL;
    return NULL;
}

bool xpc_request_is_ours(xpc_object_t request)
{
    const char *command = get_string(request, "command");

    return command && strncmp(command, OUR_PREFIX, strlen(OUR_PREFIX)) == 0;
}
