/* SPDX-License-Identifier: Apache-2.0 */
/* client_xpc.c - libvmnet-broker on macOS: one connection for the life of the process.
 *
 * The broker holds a network for this process as long as the connection is open,
 * so it is never closed. XPC keeps the connection object usable after the broker
 * has died (INTERRUPTED) and starts the broker anew with the next message; but the
 * networks died with the old one. That is said in the system log when it happens,
 * and the acquire that is under way fails; the next acquire starts afresh.
 *
 * A broker that exits because nobody used it can do so just as our request comes.
 * While this process holds nothing, such a request is therefore sent once more.
 */
#include "status.h"
#include "vmnet-broker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define MACH_SERVICE "com.github.nirs.vmnet-broker"
#define EXPORTED     __attribute__((visibility("default")))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static xpc_connection_t the_connection; /* NULL: none yet, or it became invalid */
static pid_t owner;                     /* who made it; a child after fork() makes its own */
static atomic_bool holding;             /* the broker lent us something */

EXPORTED const char *vmnet_broker_strerror(vmnet_broker_return_t status)
{
    return status_text((int)status);
}

static void on_event(xpc_object_t event)
{
    if (event != XPC_ERROR_CONNECTION_INTERRUPTED && event != XPC_ERROR_CONNECTION_INVALID)
        return;
    if (atomic_exchange(&holding, false))
        syslog(LOG_ERR, "vmnet-broker went away: the networks of this process are gone, and its "
                        "VMs have to be started again");
}

/* The connection, retained; made when there is none. */
static xpc_connection_t get_connection(void)
{
    pthread_mutex_lock(&lock);
    if (!the_connection || owner != getpid()) {
        /* Only launchd's system services, so that no user's agent answers in its place. */
        the_connection = xpc_connection_create_mach_service(MACH_SERVICE, NULL,
                                                            XPC_CONNECTION_MACH_SERVICE_PRIVILEGED);
        owner = getpid();
        atomic_store(&holding, false);
        xpc_connection_set_event_handler(the_connection, ^(xpc_object_t event) {
          on_event(event);
        });
        xpc_connection_activate(the_connection);
    }
    xpc_connection_t connection = (xpc_connection_t)xpc_retain(the_connection);
    pthread_mutex_unlock(&lock);
    return connection;
}

/* An invalid connection stays so: the next acquire looks the service up again. */
static void forget_connection(xpc_connection_t connection)
{
    pthread_mutex_lock(&lock);
    bool current = the_connection == connection;
    if (current)
        the_connection = NULL;
    pthread_mutex_unlock(&lock);
    if (current)
        xpc_release(connection);
}

/* The reply, or an error object; the caller releases it. */
static xpc_object_t ask(const char *network_name)
{
    xpc_connection_t connection = get_connection();
    xpc_object_t request = xpc_dictionary_create_empty();
    xpc_dictionary_set_string(request, "command", "acquire");
    xpc_dictionary_set_string(request, "network_name", network_name);
    xpc_object_t reply = xpc_connection_send_message_with_reply_sync(connection, request);
    xpc_release(request);
    if (reply == XPC_ERROR_CONNECTION_INVALID)
        forget_connection(connection);
    xpc_release(connection);
    return reply;
}

/* An `error` that is no int64 would read as 0, that is as success: so the type counts. */
static vmnet_broker_return_t read_reply(xpc_object_t reply, xpc_object_t *ret)
{
    if (xpc_get_type(reply) != XPC_TYPE_DICTIONARY)
        return VMNET_BROKER_XPC_FAILURE;
    xpc_object_t error = xpc_dictionary_get_value(reply, "error");
    xpc_object_t network = xpc_dictionary_get_value(reply, "network");
    if (!error && network) {
        *ret = network;
        return VMNET_BROKER_SUCCESS;
    }
    if (network || !error || xpc_get_type(error) != XPC_TYPE_INT64)
        return VMNET_BROKER_INVALID_REPLY;
    int64_t code = xpc_int64_get_value(error);
    if (code < VMNET_BROKER_NOT_ALLOWED || code > VMNET_BROKER_INTERNAL_ERROR)
        return VMNET_BROKER_INVALID_REPLY;
    return (vmnet_broker_return_t)code;
}

EXPORTED vmnet_broker_network_ref vmnet_broker_acquire_network(const char *network_name,
                                                               vmnet_broker_return_t *status)
{
    xpc_object_t network = NULL;
    vmnet_broker_return_t result = VMNET_BROKER_INVALID_REQUEST;

    if (network_name) {
        bool held = atomic_load(&holding);
        xpc_object_t reply = ask(network_name);
        if (reply == XPC_ERROR_CONNECTION_INTERRUPTED && !held) {
            xpc_release(reply);
            reply = ask(network_name);
        }
        result = read_reply(reply, &network);
        if (network)
            network = xpc_retain(network);
        xpc_release(reply);
    }
    if (network)
        atomic_store(&holding, true);
    if (status)
        *status = result;
    return network;
}
