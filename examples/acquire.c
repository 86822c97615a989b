/* SPDX-License-Identifier: Apache-2.0 */
/* acquire.c - borrow a network, start an interface on it, and say what came of it.
 *
 *     cc acquire.c $(pkg-config --cflags --libs vmnet-broker) && ./a.out shared web
 */
#include <stdio.h>
#include <unistd.h>
#include <vmnet-broker.h>

int main(int argc, char **argv)
{
    vmnet_broker_interface_options options = VMNET_BROKER_INTERFACE_OPTIONS_INIT;
    vmnet_broker_return_t status;

    vmnet_broker_network_ref network =
        vmnet_broker_acquire_network(argc > 1 ? argv[1] : "shared", &status);
    if (!network) {
        fprintf(stderr, "%s: %s\n", vmnet_broker_strerror(status), vmnet_broker_last_error());
        return 1;
    }
    options.name = argc > 2 ? argv[2] : NULL; /* the same name gets the same address again */
    vmnet_broker_interface_ref nic = vmnet_broker_start_interface(network, &options, &status);
    if (!nic) {
        fprintf(stderr, "%s: %s\n", vmnet_broker_strerror(status), vmnet_broker_last_error());
        return 1;
    }
    int tap = vmnet_broker_interface_take_fd(nic, 0); /* give it to your VMM */
    printf("network %s, TAP descriptor %d, MAC %s\n", vmnet_broker_network_name(network), tap,
           vmnet_broker_interface_mac_address(nic));
    vmnet_broker_interface_free(nic);
    vmnet_broker_network_free(network);
    close(tap); /* ends the interface; the end of the process gives the network back */
    return 0;
}
