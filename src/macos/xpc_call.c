/* SPDX-License-Identifier: Apache-2.0 */
#include "xpc_call.h"

#include "ctl.h"
#include "status.h"

#define MACH_SERVICE "com.github.nirs.vmnet-broker"

xpc_connection_t xpc_call_open(void (*lost)(void))
{
    xpc_connection_t connection = xpc_connection_create_mach_service(
        MACH_SERVICE, NULL, XPC_CONNECTION_MACH_SERVICE_PRIVILEGED);
    xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
      if (lost && event == XPC_ERROR_CONNECTION_INTERRUPTED)
          lost();
    });
    xpc_connection_activate(connection);
    return connection;
}

xpc_object_t xpc_call(xpc_connection_t connection, const char *command, const char *network)
{
    xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
    xpc_dictionary_set_string(request, "command", command);
    if (network)
        xpc_dictionary_set_string(request, "network_name", network);
    xpc_object_t reply = xpc_connection_send_message_with_reply_sync(connection, request);
    xpc_release(request);
    return reply;
}

static void say(const char *network, const char *why)
{
    if (network)
        complain_network(network, why);
    else
        complain("%s", why);
}

/* Says what is wrong with a reply; true when nothing is. */
static bool is_good(xpc_object_t reply, const char *network)
{
    if (xpc_get_type(reply) != XPC_TYPE_DICTIONARY) {
        say(network, reply == XPC_ERROR_CONNECTION_INVALID
                         ? "the broker is not installed: see `launchctl print system/" MACH_SERVICE
                           "`"
                         : "the connection to the broker broke");
        return false;
    }
    if (!xpc_dictionary_get_value(reply, "error"))
        return true;
    const char *message = xpc_dictionary_get_string(reply, "message");
    int code = (int)xpc_dictionary_get_int64(reply, "error");
    say(network, message ? message : status_text(code));
    return false;
}

xpc_object_t xpc_call_or_complain(xpc_connection_t connection, const char *command,
                                  const char *network)
{
    xpc_object_t reply = xpc_call(connection, command, network);
    if (is_good(reply, network))
        return reply;
    xpc_release(reply);
    return NULL;
}
