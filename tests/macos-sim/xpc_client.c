/* SPDX-License-Identifier: Apache-2.0 */
/* xpc_client.c - a client that a test tells what to say, in plain XPC.
 *
 * One command a line on standard input, one answer a line on standard output:
 *
 *   acquire NAME             "network", "error N", "invalid", "interrupted", or "odd: ..."
 *   raw KEY=TYPE:VALUE ...   any request; TYPE is string, int64, uint64, bool, array, null
 *   oneway KEY=TYPE:VALUE .. the same as a plain message: "sent"
 *   flood COUNT NAME [N]     COUNT requests at once: "network=A error3=B error=C", and before
 *                            that "refused N" as soon as N were
 *   crowd COUNT NAME         the same from COUNT connections at once, which stay open
 *   result COMMAND [NAME]    a command of ours: its result as JSON, or "error N: message"
 *   use                      can the last network be used? "usable" or "gone"
 *   same                     did the last two acquires give the same? "same" or "different"
 *   events                   what the connection told: "interrupted=A invalid=B"
 *   close                    cancels the connection: "closed"
 *   library NAME             vmnet_broker_acquire_network(): "network" or "status N"
 *   library-many COUNT NAME  from COUNT threads at once: how many got it
 */
#include "vmnet-broker.h"
#include "xpc_json.h"

#include <CoreFoundation/CoreFoundation.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmnet/vmnet.h>
#include <xpc/xpc.h>

#define SERVICE "com.github.nirs.vmnet-broker"

static xpc_connection_t connection;
static xpc_object_t last, before_last;
static atomic_int interruptions, invalidations;

static void open_connection(void)
{
    connection =
        xpc_connection_create_mach_service(SERVICE, NULL, XPC_CONNECTION_MACH_SERVICE_PRIVILEGED);
    xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
      if (event == XPC_ERROR_CONNECTION_INTERRUPTED)
          atomic_fetch_add(&interruptions, 1);
      if (event == XPC_ERROR_CONNECTION_INVALID)
          atomic_fetch_add(&invalidations, 1);
    });
    xpc_connection_activate(connection);
}

static void close_connection(void)
{
    if (connection) {
        xpc_connection_cancel(connection);
        xpc_release(connection);
    }
    connection = NULL;
}

static void remember(xpc_object_t network)
{
    if (before_last)
        xpc_release(before_last);
    before_last = last;
    last = network ? xpc_retain(network) : NULL;
}

/* ---- requests ---- */

static xpc_object_t value_of(const char *type, const char *text)
{
    if (strcmp(type, "int64") == 0)
        return xpc_int64_create(atoll(text));
    if (strcmp(type, "uint64") == 0)
        return xpc_uint64_create(strtoull(text, NULL, 10));
    if (strcmp(type, "bool") == 0)
        return xpc_bool_create(strcmp(text, "true") == 0);
    if (strcmp(type, "null") == 0)
        return xpc_null_create();
    xpc_object_t string = xpc_string_create(text);
    if (strcmp(type, "array") != 0)
        return string;
    xpc_object_t array = xpc_array_create(&string, 1);
    xpc_release(string);
    return array;
}

/* Of "KEY=TYPE:VALUE ..." */
static xpc_object_t request_of(char *words)
{
    xpc_object_t request = xpc_dictionary_create_empty();
    char *state = NULL;
    for (char *w = strtok_r(words, " ", &state); w; w = strtok_r(NULL, " ", &state)) {
        char *type = strchr(w, '='), *text = type ? strchr(type, ':') : NULL;
        if (!text)
            continue;
        *type++ = *text++ = '\0';
        xpc_object_t value = value_of(type, text);
        xpc_dictionary_set_value(request, w, value);
        xpc_release(value);
    }
    return request;
}

static xpc_object_t acquire_request(const char *name)
{
    xpc_object_t request = xpc_dictionary_create_empty();
    xpc_dictionary_set_string(request, "command", "acquire");
    xpc_dictionary_set_string(request, "network_name", name);
    return request;
}

static void say_reply(xpc_object_t reply)
{
    if (reply == XPC_ERROR_CONNECTION_INTERRUPTED) {
        puts("interrupted");
        return;
    }
    if (reply == XPC_ERROR_CONNECTION_INVALID) {
        puts("invalid");
        return;
    }
    xpc_object_t error = xpc_dictionary_get_value(reply, "error");
    xpc_object_t network = xpc_dictionary_get_value(reply, "network");
    bool alone = xpc_dictionary_get_count(reply) == 1;
    if (network && alone)
        puts("network");
    else if (error && alone && xpc_get_type(error) == XPC_TYPE_INT64)
        printf("error %lld\n", (long long)xpc_int64_get_value(error));
    else
        puts("odd: neither network nor error alone");
    if (network && alone)
        remember(network);
}

static void do_request(xpc_object_t request)
{
    xpc_object_t reply = xpc_connection_send_message_with_reply_sync(connection, request);
    say_reply(reply);
    xpc_release(reply);
    xpc_release(request);
}

static void do_acquire(char *arguments)
{
    do_request(acquire_request(arguments));
}

static void do_raw(char *arguments)
{
    do_request(request_of(arguments));
}

static void do_oneway(char *arguments)
{
    xpc_object_t request = request_of(arguments);
    xpc_connection_send_message(connection, request);
    xpc_release(request);
    puts("sent");
}

/* COUNT requests on one connection, or on COUNT of them. */
static void ask_many(char *arguments, bool one_connection)
{
    char name[64] = "shared";
    int count = 0, tell = 0;
    (void)sscanf(arguments, "%d %63s %d", &count, name, &tell);
    __block int networks = 0, refused = 0, others = 0;
    xpc_object_t request = acquire_request(name);
    dispatch_queue_t queue = dispatch_queue_create("many", DISPATCH_QUEUE_SERIAL);
    dispatch_semaphore_t one = dispatch_semaphore_create(0);
    xpc_handler_t count_reply = ^(xpc_object_t reply) {
      bool dictionary = xpc_get_type(reply) == XPC_TYPE_DICTIONARY;
      networks += dictionary && xpc_dictionary_get_value(reply, "network");
      bool no = dictionary && xpc_dictionary_get_int64(reply, "error") == 3;
      refused += no;
      others += !dictionary;
      if (no && refused == tell)
          printf("refused %d\n", tell);
      dispatch_semaphore_signal(one);
    };
    for (int i = 0; i < count; i++) {
        if (!one_connection)
            open_connection();
        xpc_connection_send_message_with_reply(connection, request, queue, count_reply);
    }
    for (int i = 0; i < count; i++)
        (void)dispatch_semaphore_wait(one, DISPATCH_TIME_FOREVER);
    dispatch_sync(queue, ^{
      printf("network=%d error3=%d error=%d\n", networks, refused, others);
    });
    dispatch_release(one);
    dispatch_release(queue);
    xpc_release(request);
}

static void do_flood(char *arguments)
{
    ask_many(arguments, true);
}

static void do_crowd(char *arguments)
{
    ask_many(arguments, false);
}

static void do_result(char *arguments)
{
    char *name = strchr(arguments, ' ');
    if (name)
        *name++ = '\0';
    xpc_object_t request = xpc_dictionary_create_empty();
    xpc_dictionary_set_string(request, "command", arguments);
    if (name)
        xpc_dictionary_set_string(request, "network_name", name);
    xpc_object_t reply = xpc_connection_send_message_with_reply_sync(connection, request);
    xpc_object_t result = NULL;
    if (xpc_get_type(reply) == XPC_TYPE_DICTIONARY)
        result = xpc_dictionary_get_value(reply, "result");
    if (result && xpc_dictionary_get_count(reply) == 1) {
        xpc_json_write(stdout, result);
        putchar('\n');
    } else if (xpc_get_type(reply) == XPC_TYPE_ERROR) {
        puts("interrupted");
    } else {
        const char *message = xpc_dictionary_get_string(reply, "message");
        printf("error %lld: %s\n", (long long)xpc_dictionary_get_int64(reply, "error"),
               message ? message : "");
    }
    xpc_release(reply);
    xpc_release(request);
}

/* ---- networks ---- */

static void do_use(char *unused)
{
    (void)unused;
    vmnet_network_ref network = last ? vmnet_network_create_with_serialization(last, NULL) : NULL;
    puts(network ? "usable" : "gone");
    if (network)
        CFRelease(network);
}

static uint32_t subnet_of(xpc_object_t serialization)
{
    struct in_addr subnet = { 0 }, mask = { 0 };
    vmnet_network_ref network =
        serialization ? vmnet_network_create_with_serialization(serialization, NULL) : NULL;
    if (network) {
        vmnet_network_get_ipv4_subnet(network, &subnet, &mask);
        CFRelease(network);
    }
    return subnet.s_addr;
}

static void do_same(char *unused)
{
    (void)unused;
    uint32_t subnet = subnet_of(last);
    puts(subnet && subnet == subnet_of(before_last) ? "same" : "different");
}

static void do_events(char *unused)
{
    (void)unused;
    printf("interrupted=%d invalid=%d\n", atomic_load(&interruptions), atomic_load(&invalidations));
}

static void do_close(char *unused)
{
    (void)unused;
    close_connection();
    puts("closed");
}

/* ---- the library ---- */

static void do_library(char *arguments)
{
    vmnet_broker_return_t status;
    xpc_object_t network = vmnet_broker_acquire_network(arguments, &status);
    if (network) {
        puts("network");
        remember(network);
        xpc_release(network);
    } else {
        printf("status %d\n", (int)status);
    }
}

static void *acquire_thread(void *name)
{
    xpc_object_t network = vmnet_broker_acquire_network(name, NULL);
    if (network)
        xpc_release(network);
    return network ? name : NULL;
}

static void do_library_many(char *arguments)
{
    pthread_t threads[64];
    int count = atoi(arguments), got = 0;
    char *name = strchr(arguments, ' ') + 1;
    for (int i = 0; i < count && i < 64; i++)
        (void)pthread_create(&threads[i], NULL, acquire_thread, name);
    for (int i = 0; i < count && i < 64; i++) {
        void *result = NULL;
        (void)pthread_join(threads[i], &result);
        got += result != NULL;
    }
    printf("%d\n", got);
}

static const struct {
    const char *name;
    void (*run)(char *arguments);
    bool connects;
} commands[] = {
    { "acquire", do_acquire, true },  { "raw", do_raw, true },
    { "oneway", do_oneway, true },    { "flood", do_flood, true },
    { "crowd", do_crowd, false },     { "result", do_result, true },
    { "use", do_use, false },         { "same", do_same, false },
    { "events", do_events, false },   { "close", do_close, false },
    { "library", do_library, false }, { "library-many", do_library_many, false },
};

static void obey(char *line)
{
    char *arguments = strchr(line, ' ');
    if (arguments)
        *arguments++ = '\0';
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, line) != 0)
            continue;
        if (commands[i].connects && !connection)
            open_connection();
        commands[i].run(arguments ? arguments : line + strlen(line));
        return;
    }
    puts("unknown command");
}

int main(void)
{
    char line[4096];
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        obey(line);
    }
    remember(NULL);
    remember(NULL);
    close_connection();
    return 0;
}
