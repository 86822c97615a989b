/* SPDX-License-Identifier: Apache-2.0 */
/* vmnet.h - what this project uses of macOS 26's vmnet.framework.
 *
 * Written by hand from Apple's published documentation, for building on Linux
 * only: scripts/macos-cross compiles against it, and tests/macos-sim implements
 * it. A Mac uses Apple's header. One file for both uses, so that what is
 * simulated and what is compiled cannot drift apart.
 */
#pragma once
#include <dispatch/dispatch.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <xpc/xpc.h>

/* Apple has this one in <net/ethernet.h>, which the cross compiler lacks. */
typedef struct ether_addr {
    unsigned char octet[6];
} ether_addr_t;

/* Success is 1000, not 0. */
typedef enum : uint32_t {
    VMNET_SUCCESS = 1000,
    VMNET_FAILURE = 1001,
    VMNET_MEM_FAILURE = 1002,
    VMNET_INVALID_ARGUMENT = 1003,
    VMNET_SETUP_INCOMPLETE = 1004,
    VMNET_INVALID_ACCESS = 1005,
    VMNET_PACKET_TOO_BIG = 1006,
    VMNET_BUFFER_EXHAUSTED = 1007,
    VMNET_TOO_MANY_PACKETS = 1008,
    VMNET_SHARING_SERVICE_BUSY = 1009,
    VMNET_NOT_AUTHORIZED = 1010,
} vmnet_return_t;

typedef enum : uint32_t {
    VMNET_HOST_MODE = 1000,
    VMNET_SHARED_MODE = 1001,
    VMNET_BRIDGED_MODE = 1002,
} vmnet_mode_t;

typedef enum : uint32_t {
    VMNET_INTERFACE_PACKETS_AVAILABLE = 1 << 0,
} interface_event_t;

typedef struct vmnet_network_configuration *vmnet_network_configuration_ref;
typedef struct vmnet_network *vmnet_network_ref;
typedef struct vmnet_interface *interface_ref;

struct vmpktdesc {
    size_t vm_pkt_size;
    struct iovec *vm_pkt_iov;
    uint32_t vm_pkt_iovcnt;
    uint32_t vm_flags;
};

typedef void (^vmnet_start_interface_completion_handler_t)(vmnet_return_t status,
                                                           xpc_object_t interface_param);
typedef void (^vmnet_interface_completion_handler_t)(vmnet_return_t status);
typedef void (^vmnet_interface_event_callback_t)(interface_event_t event_mask, xpc_object_t event);

extern const char *const vmnet_interface_id_key;
extern const char *const vmnet_mac_address_key;
extern const char *const vmnet_allocate_mac_address_key;
extern const char *const vmnet_mtu_key;
extern const char *const vmnet_max_packet_size_key;
extern const char *const vmnet_read_max_packets_key;
extern const char *const vmnet_write_max_packets_key;
extern const char *const vmnet_enable_isolation_key;
extern const char *const vmnet_enable_tso_key;
extern const char *const vmnet_enable_checksum_offload_key;
extern const char *const vmnet_estimated_packets_available_key;

vmnet_network_configuration_ref vmnet_network_configuration_create(vmnet_mode_t mode,
                                                                   vmnet_return_t *status);
vmnet_return_t
vmnet_network_configuration_set_external_interface(vmnet_network_configuration_ref config,
                                                   const char *ifname);
vmnet_return_t vmnet_network_configuration_set_ipv4_subnet(vmnet_network_configuration_ref config,
                                                           const struct in_addr *subnet_addr,
                                                           const struct in_addr *subnet_mask);
vmnet_return_t vmnet_network_configuration_set_ipv6_prefix(vmnet_network_configuration_ref config,
                                                           const struct in6_addr *prefix,
                                                           uint8_t len);
vmnet_return_t vmnet_network_configuration_set_mtu(vmnet_network_configuration_ref config,
                                                   uint32_t mtu);
vmnet_return_t
vmnet_network_configuration_add_dhcp_reservation(vmnet_network_configuration_ref config,
                                                 const ether_addr_t *client,
                                                 const struct in_addr *reservation);
/* The internal (guest's) port before the external (host's) one. */
vmnet_return_t vmnet_network_configuration_add_port_forwarding_rule(
    vmnet_network_configuration_ref config, uint8_t protocol, sa_family_t address_family,
    uint16_t internal_port, uint16_t external_port, const void *internal_address);
void vmnet_network_configuration_disable_nat44(vmnet_network_configuration_ref config);
void vmnet_network_configuration_disable_nat66(vmnet_network_configuration_ref config);
void vmnet_network_configuration_disable_dhcp(vmnet_network_configuration_ref config);
void vmnet_network_configuration_disable_dns_proxy(vmnet_network_configuration_ref config);
void vmnet_network_configuration_disable_router_advertisement(
    vmnet_network_configuration_ref config);

vmnet_network_ref vmnet_network_create(vmnet_network_configuration_ref config,
                                       vmnet_return_t *status);
void vmnet_network_get_ipv4_subnet(vmnet_network_ref network, struct in_addr *subnet,
                                   struct in_addr *mask);
void vmnet_network_get_ipv6_prefix(vmnet_network_ref network, struct in6_addr *prefix,
                                   uint8_t *prefix_len);
xpc_object_t vmnet_network_copy_serialization(vmnet_network_ref network, vmnet_return_t *status);
vmnet_network_ref vmnet_network_create_with_serialization(xpc_object_t network,
                                                          vmnet_return_t *status);

interface_ref
vmnet_interface_start_with_network(vmnet_network_ref network, xpc_object_t interface_desc,
                                   dispatch_queue_t queue,
                                   vmnet_start_interface_completion_handler_t start_block);
vmnet_return_t vmnet_stop_interface(interface_ref interface, dispatch_queue_t queue,
                                    vmnet_interface_completion_handler_t handler);
vmnet_return_t vmnet_interface_set_event_callback(interface_ref interface, interface_event_t mask,
                                                  dispatch_queue_t queue,
                                                  vmnet_interface_event_callback_t callback);
vmnet_return_t vmnet_read(interface_ref interface, struct vmpktdesc *packets, int *pktcnt);
vmnet_return_t vmnet_write(interface_ref interface, struct vmpktdesc *packets, int *pktcnt);
