/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - the calls of vmnet-broker.h that talk to the broker.
 *
 * One connection for the process, because the broker counts references by connection
 * and drops them when it closes. A mutex lets one call at a time use it: calls are rare
 * (a few in the life of a VM), and replies come in order anyway.
 *
 * A broken connection is mended silently only when nothing was held through it: then
 * nobody can tell the difference, which covers a broker that exits idle at the very
 * moment that we connect. Otherwise networks were lost, and the caller must hear it.
 *
 * fork(): the child's handler closes its copy of the socket and starts with nothing.
 * It gives the mutex a new life, since the thread that may have held it does not exist
 * in the child.
 */
#include "client.h"
#include "mem.h"
#include "objects.h"
#include "vmnet-broker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static_assert((int)VMNET_BROKER_INTERNAL_ERROR == STATUS_INTERNAL_ERROR &&
                  (int)VMNET_BROKER_XPC_FAILURE == STATUS_XPC_FAILURE,
              "the header and the protocol number alike");

struct held {
    struct held *next;
    char name[]; /* of a network that this process holds */
};

static struct client {
    pthread_mutex_t lock;
    struct connection connection;
    struct held *held;
    enum endpoint_choice choice, used; /* used: of the connection that there is */
} client = { .lock = PTHREAD_MUTEX_INITIALIZER, .connection = CONNECTION_INIT };

static __thread char last_error[512];

/* ---- fork ---- */

static void in_child(void)
{
    connection_forget(&client.connection);
    client.held = NULL; /* not freed: another thread may have been changing it */
    (void)pthread_mutex_init(&client.lock, NULL);
    connection_unlock_sockets();
}

static void watch_forks(void)
{
    (void)pthread_atfork(connection_lock_sockets, connection_unlock_sockets, in_child);
}

/* ---- what is held ---- */

static struct held **find_held(const char *name)
{
    struct held **h = &client.held;
    while (*h && strcmp((*h)->name, name) != 0)
        h = &(*h)->next;
    return h;
}

static void note_held(const char *name)
{
    struct held **h = find_held(name);
    size_t size = strlen(name) + 1;
    if (*h)
        return;
    *h = calloc(1, sizeof **h + size); /* without memory we mend once too often: harmless */
    if (*h)
        memcpy((*h)->name, name, size);
}

static void forget_held(struct held **h)
{
    struct held *gone = *h;
    if (gone) {
        *h = gone->next;
        free(gone);
    }
}

static void disconnect(void)
{
    connection_close(&client.connection);
    while (client.held)
        forget_held(&client.held);
}

/* ---- calls ---- */

/* Every public call ends here: the status, and the words for it. */
static vmnet_broker_return_t say(enum status status, const char *why)
{
    if (status == STATUS_SUCCESS)
        last_error[0] = '\0';
    else
        (void)snprintf(last_error, sizeof last_error, "%s", why[0] ? why : status_text(status));
    return (vmnet_broker_return_t)status;
}

static void begin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, watch_forks);
    (void)pthread_mutex_lock(&client.lock);
}

static void end(void)
{
    (void)pthread_mutex_unlock(&client.lock);
}

static vmnet_broker_return_t broken(int err)
{
    if (err == -E2BIG)
        return say(STATUS_INVALID_REQUEST, "a name or option is too long");
    disconnect(); /* whatever came in the meantime would be taken for the next answer */
    if (err == -ENOMEM)
        return say(STATUS_INTERNAL_ERROR, "out of memory");
    if (err == -EPROTO)
        return say(STATUS_INVALID_REPLY, "the broker's answer makes no sense");
    return say(STATUS_XPC_FAILURE, "the connection to the broker broke; "
                                   "networks acquired through it are no longer held");
}

/* One call over the connection that there is. On success the reply is the caller's to
 * read; either way the caller's to clear. */
static vmnet_broker_return_t call(const char *method, json_t *parameters, struct reply *reply)
{
    if (!parameters)
        return say(STATUS_INVALID_REQUEST, "a name or option is not UTF-8 text");
    if (client.connection.fd < 0) {
        json_decref(parameters);
        return say(STATUS_XPC_FAILURE, "not connected to a broker; acquire the network first");
    }
    int r = connection_call(&client.connection, method, parameters, reply);
    if (r < 0)
        return broken(r);
    return say(reply->error, reply_why(reply));
}

static vmnet_broker_return_t connect_broker(void)
{
    struct failure why = { 0 };
    if (client.connection.fd >= 0)
        return VMNET_BROKER_SUCCESS;
    int r = endpoint_connect(&client.connection, client.choice, true, &client.used, &why);
    return r < 0 ? say(STATUS_XPC_FAILURE, why.why) : VMNET_BROKER_SUCCESS;
}

/* Connects if need be, and once more when the broker left before anything was held. */
static vmnet_broker_return_t acquire(const char *name, struct reply *reply)
{
    vmnet_broker_return_t status = VMNET_BROKER_XPC_FAILURE;
    for (int attempt = 0; attempt < 2; attempt++) {
        bool nothing_to_lose = !client.held;
        status = connect_broker();
        if (status != VMNET_BROKER_SUCCESS)
            break;
        reply_clear(reply);
        status = call("Acquire", json_pack("{s:s}", "network_name", name), reply);
        if (status != VMNET_BROKER_XPC_FAILURE || !nothing_to_lose)
            break;
    }
    return status;
}

vmnet_broker_network_ref vmnet_broker_acquire_network(const char *network_name,
                                                      vmnet_broker_return_t *status)
{
    AUTO_REPLY reply = REPLY_INIT;
    vmnet_broker_network_ref network = NULL;
    vmnet_broker_return_t s;

    begin();
    s = network_name ? acquire(network_name, &reply)
                     : say(STATUS_INVALID_REQUEST, "the network's name is missing");
    if (s == VMNET_BROKER_SUCCESS) {
        note_held(network_name);
        /* A network of the same name is another one elsewhere: should this broker go, the next
         * one of its kind is asked, and nobody else. */
        client.choice = client.used;
        int r = network_from_reply(&reply, &network);
        if (r < 0)
            s = r == -ENOMEM
                    ? say(STATUS_INTERNAL_ERROR, "out of memory")
                    : say(STATUS_INVALID_REPLY, "the broker's answer describes no network");
    }
    end();
    if (status)
        *status = s;
    return network;
}

vmnet_broker_return_t vmnet_broker_release_network(const char *network_name)
{
    AUTO_REPLY reply = REPLY_INIT;
    if (!network_name)
        return say(STATUS_INVALID_REQUEST, "the network's name is missing");
    begin();
    vmnet_broker_return_t s =
        call("Release", json_pack("{s:s}", "network_name", network_name), &reply);
    if (s == VMNET_BROKER_SUCCESS)
        forget_held(find_held(network_name));
    end();
    return s;
}

/* The caller's options in today's form, whatever header it was compiled with: what an
 * older one lacks is zero, and what a newer one adds must be. Both begin with their size. */
static bool read_options(const void *given, void *ret, size_t size)
{
    const unsigned char *bytes = given;
    size_t its;

    memcpy(&its, given, sizeof its);
    if (its < sizeof its)
        return false;
    for (size_t i = size; i < its; i++)
        if (bytes[i])
            return false;
    memcpy(ret, given, its < size ? its : size);
    return true;
}

static bool read_interface_options(const vmnet_broker_interface_options *given,
                                   vmnet_broker_interface_options *ret)
{
    *ret = (vmnet_broker_interface_options)VMNET_BROKER_INTERFACE_OPTIONS_INIT;
    return !given || (read_options(given, ret, sizeof *ret) && ret->queues <= VARLINK_FDS_MAX);
}

static json_t *interface_call(const char *network, const vmnet_broker_interface_options *o)
{
    /* An older broker does not know by_name, and need not unless it is wanted. */
    return json_pack("{s:s, s:s*, s:s*, s:s*, s:i, s:b, s:b, s:o*}", "network_name", network,
                     "interface_id", o->interface_id, "name", o->name, "mac_address",
                     o->mac_address, "queues", (int)o->queues, "offload", !o->no_offload,
                     "isolated", o->isolated != 0, "by_name", o->by_name ? json_true() : NULL);
}

vmnet_broker_interface_ref vmnet_broker_start_interface(vmnet_broker_network_ref network,
                                                        const vmnet_broker_interface_options *given,
                                                        vmnet_broker_return_t *status)
{
    AUTO_REPLY reply = REPLY_INIT;
    vmnet_broker_interface_options options;
    vmnet_broker_interface_ref interface = NULL;
    vmnet_broker_return_t s;

    begin();
    if (!network || !read_interface_options(given, &options)) {
        s = say(STATUS_INVALID_REQUEST, "the network is missing, or an option is out of range");
    } else {
        if (options.queues == 0)
            options.queues = 1;
        s = call("StartInterface", interface_call(vmnet_broker_network_name(network), &options),
                 &reply);
    }
    if (s == VMNET_BROKER_SUCCESS) {
        int r = interface_from_reply(&reply, &options, &interface);
        if (r < 0)
            s = r == -ENOMEM ? say(STATUS_INTERNAL_ERROR, "out of memory")
                             : say(STATUS_INVALID_REPLY,
                                   "the broker's answer describes no interface with its TAPs");
    }
    end();
    if (status)
        *status = s;
    return interface;
}

static json_t *forward_call(vmnet_broker_interface_ref interface,
                            const vmnet_broker_forward_options *o)
{
    return json_pack("{s:s, s:s, s:s, s:s*, s:i, s:s*, s:i}", "network_name",
                     interface_network(interface), "interface_id",
                     vmnet_broker_interface_id(interface), "protocol", o->udp ? "udp" : "tcp",
                     "listen_address", o->listen_address, "external_port", (int)o->external_port,
                     "address", o->address, "internal_port", (int)o->internal_port);
}

vmnet_broker_return_t vmnet_broker_forward_port(vmnet_broker_interface_ref interface,
                                                const vmnet_broker_forward_options *given)
{
    AUTO_REPLY reply = REPLY_INIT;
    vmnet_broker_forward_options options = VMNET_BROKER_FORWARD_OPTIONS_INIT;
    vmnet_broker_return_t s;

    begin();
    if (!interface || !given || !read_options(given, &options, sizeof options) ||
        options.external_port > UINT16_MAX || options.internal_port > UINT16_MAX)
        s = say(STATUS_INVALID_REQUEST, "the interface is missing, or an option is out of range");
    else
        s = call("AddForward", forward_call(interface, &options), &reply);
    end();
    return s;
}

/* ---- what needs no broker ---- */

const char *vmnet_broker_last_error(void)
{
    return last_error;
}

const char *vmnet_broker_strerror(vmnet_broker_return_t status)
{
    return status_text((int)status);
}

void client_choose(enum endpoint_choice choice)
{
    begin();
    client.choice = choice;
    end();
}

void client_disconnect(void)
{
    begin();
    disconnect();
    end();
}

int client_socket(void)
{
    begin();
    int fd = client.connection.fd;
    end();
    return fd;
}
