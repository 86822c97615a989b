/* SPDX-License-Identifier: Apache-2.0 */
/* macos-plain-xpc.c - a complete client of vmnet-broker in plain XPC.
 *
 * It uses Apple's API and the broker's protocol, and nothing of libvmnet-broker:
 * copy it into your own program. It borrows a network, starts an interface on it,
 * and then says hello to its neighbours once a second, as a frame of the ether
 * type for local experiments. Start it twice and each sees the other.
 *
 *   cc -fblocks -framework vmnet -framework CoreFoundation macos-plain-xpc.c -o plain
 *   codesign -f -s - --entitlements vmnet-broker.entitlements plain
 *   ./plain shared alice
 */
#include <CoreFoundation/CoreFoundation.h>
#include <dispatch/dispatch.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmnet/vmnet.h>
#include <xpc/xpc.h>

#define SERVICE    "com.github.nirs.vmnet-broker"
#define ETHER_TYPE "\x88\xb5"
#define HEADER     14
#define FRAME_MIN  60

static interface_ref interface;
static dispatch_queue_t queue; /* everything about the interface happens here */
static size_t frame_max;
static uint8_t my_mac[6];
static const char *my_name;

static void die(const char *what, unsigned status)
{
    fprintf(stderr, "%s (status %u)\n", what, status);
    exit(EXIT_FAILURE);
}

/* ---- the network ---- */

/* The connection must stay open as long as the network is used: the broker takes the
 * network back when it closes. So it is made once and never released. */
static xpc_connection_t connect_to_broker(void)
{
    xpc_connection_t connection =
        xpc_connection_create_mach_service(SERVICE, NULL, XPC_CONNECTION_MACH_SERVICE_PRIVILEGED);
    xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
      if (event == XPC_ERROR_CONNECTION_INTERRUPTED)
          die("the broker has died, and the network with it", 0);
    });
    xpc_connection_activate(connection);
    return connection;
}

static xpc_object_t acquire(xpc_connection_t connection, const char *network_name)
{
    xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
    xpc_dictionary_set_string(request, "command", "acquire");
    xpc_dictionary_set_string(request, "network_name", network_name);
    xpc_object_t reply = xpc_connection_send_message_with_reply_sync(connection, request);
    xpc_release(request);

    if (xpc_get_type(reply) == XPC_TYPE_ERROR)
        die(xpc_dictionary_get_string(reply, XPC_ERROR_KEY_DESCRIPTION), 0);
    xpc_object_t serialization = xpc_dictionary_get_value(reply, "network");
    if (!serialization)
        die("the broker refused", (unsigned)xpc_dictionary_get_int64(reply, "error"));
    (void)xpc_retain(serialization); /* it lives only as long as the reply */
    xpc_release(reply);
    return serialization;
}

/* ---- the interface ---- */

static void take_parameters(xpc_object_t parameters)
{
    const char *mac = xpc_dictionary_get_string(parameters, vmnet_mac_address_key);
    frame_max = xpc_dictionary_get_uint64(parameters, vmnet_max_packet_size_key);
    unsigned b[6];
    if (!mac || sscanf(mac, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
        die("vmnet gave no MAC address", 0);
    for (int i = 0; i < 6; i++)
        my_mac[i] = (uint8_t)b[i];
    printf("started %s, MTU %u\n", mac,
           (unsigned)xpc_dictionary_get_uint64(parameters, vmnet_mtu_key));
}

static void start_interface(vmnet_network_ref network)
{
    xpc_object_t description = xpc_dictionary_create(NULL, NULL, 0);
    xpc_dictionary_set_bool(description, vmnet_allocate_mac_address_key, true);
    dispatch_semaphore_t started = dispatch_semaphore_create(0);
    __block vmnet_return_t outcome = VMNET_FAILURE;

    interface = vmnet_interface_start_with_network(
        network, description, queue, ^(vmnet_return_t status, xpc_object_t parameters) {
          outcome = status;
          if (status == VMNET_SUCCESS)
              take_parameters(parameters);
          dispatch_semaphore_signal(started);
        });
    if (!interface) /* then the block is not called */
        die("the interface cannot be started", VMNET_FAILURE);
    (void)dispatch_semaphore_wait(started, DISPATCH_TIME_FOREVER);
    if (outcome != VMNET_SUCCESS)
        die("the interface cannot be started", outcome);
    dispatch_release(started);
    xpc_release(description);
}

/* ---- frames ---- */

static void say_hello(void)
{
    uint8_t frame[FRAME_MIN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    struct iovec iov = { frame, sizeof frame };
    struct vmpktdesc packet = { sizeof frame, &iov, 1, 0 };
    int count = 1;

    memcpy(frame + 6, my_mac, sizeof my_mac);
    memcpy(frame + 12, ETHER_TYPE, 2);
    (void)snprintf((char *)frame + HEADER, sizeof frame - HEADER, "%s", my_name);
    vmnet_return_t status = vmnet_write(interface, &packet, &count);
    if (status != VMNET_SUCCESS)
        fprintf(stderr, "a frame could not be written (status %u)\n", (unsigned)status);
}

/* True when there was a frame. */
static int read_one(uint8_t *frame)
{
    struct iovec iov = { frame, frame_max };
    struct vmpktdesc packet = { frame_max, &iov, 1, 0 };
    int count = 1;

    if (vmnet_read(interface, &packet, &count) != VMNET_SUCCESS || count != 1)
        return 0;
    if (packet.vm_pkt_size >= FRAME_MIN && memcmp(frame + 12, ETHER_TYPE, 2) == 0)
        printf("heard %.*s\n", FRAME_MIN - HEADER, (const char *)frame + HEADER);
    return 1;
}

static void read_all(void)
{
    uint8_t *frame = malloc(frame_max);
    while (frame && read_one(frame))
        ;
    free(frame);
}

static void talk(void)
{
    vmnet_interface_set_event_callback(interface, VMNET_INTERFACE_PACKETS_AVAILABLE, queue,
                                       ^(interface_event_t mask, xpc_object_t event) {
                                         (void)mask;
                                         (void)event;
                                         read_all();
                                       });
    dispatch_source_t every = dispatch_source_create(DISPATCH_SOURCE_TYPE_TIMER, 0, 0, queue);
    dispatch_source_set_event_handler(every, ^{
      say_hello();
    });
    dispatch_source_set_timer(every, dispatch_time(DISPATCH_TIME_NOW, 0), NSEC_PER_SEC,
                              NSEC_PER_SEC / 10);
    dispatch_activate(every);
}

/* ---- the end ---- */

static void stop_when_told(int number)
{
    dispatch_source_t source =
        dispatch_source_create(DISPATCH_SOURCE_TYPE_SIGNAL, (uintptr_t)number, 0, queue);
    (void)signal(number, SIG_IGN);
    dispatch_source_set_event_handler(source, ^{
      (void)vmnet_stop_interface(interface, queue, ^(vmnet_return_t status) {
        exit(status == VMNET_SUCCESS ? EXIT_SUCCESS : EXIT_FAILURE);
      });
    });
    dispatch_activate(source);
}

int main(int argc, char **argv)
{
    vmnet_return_t status = VMNET_SUCCESS;

    if (argc != 3) {
        fprintf(stderr, "Usage: %s NETWORK YOUR-NAME\n", argv[0]);
        return 2;
    }
    my_name = argv[2];
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    queue = dispatch_queue_create("interface", DISPATCH_QUEUE_SERIAL);

    xpc_object_t serialization = acquire(connect_to_broker(), argv[1]);
    vmnet_network_ref network = vmnet_network_create_with_serialization(serialization, &status);
    xpc_release(serialization);
    if (!network)
        die("the network cannot be used", status);
    start_interface(network);
    CFRelease(network); /* the interface keeps it */
    stop_when_told(SIGTERM);
    stop_when_told(SIGINT);
    talk();
    dispatch_main();
}
