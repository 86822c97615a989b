/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmnet-broker.h - borrow a named virtual-machine network from the broker.
 *
 * A program that runs VMs asks for a network by name and gets it; it holds the
 * network until it exits, or gives it back. What nobody holds goes away after a
 * delay. The same call works on macOS 26 (vmnet.framework) and on Linux.
 *
 *     vmnet_broker_return_t status;
 *     vmnet_broker_network_ref net = vmnet_broker_acquire_network("shared", &status);
 *     if (net == NULL)
 *         errx(1, "%s", vmnet_broker_strerror(status));
 *
 * Link with `pkg-config --cflags --libs vmnet-broker`.
 *
 * All functions may be called from any thread. There is one connection to the
 * broker for the process, made by the first acquire, kept until exit; losing it
 * loses every network (VMNET_BROKER_XPC_FAILURE), and the next acquire makes a new
 * one. Running VMs keep their network nevertheless, as long as their descriptors
 * are open. A child after fork() does not disturb the parent's networks; it starts
 * with none of its own. Descriptors are close-on-exec; signals are left alone.
 *
 * Calls wait for the broker's answer: milliseconds as a rule, longer while a network
 * is being created.
 */
#ifndef VMNET_BROKER_H
#define VMNET_BROKER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __APPLE__
#include <xpc/xpc.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Every status a call can report. The numbers are the protocol's and never change. */
typedef enum {
    VMNET_BROKER_SUCCESS = 0,
    VMNET_BROKER_XPC_FAILURE = 1,     /* the broker could not be reached, or was lost */
    VMNET_BROKER_INVALID_REPLY = 2,   /* the broker answered something that makes no sense */
    VMNET_BROKER_NOT_ALLOWED = 3,     /* policy forbids it to this user, or a limit is reached */
    VMNET_BROKER_INVALID_REQUEST = 4, /* a malformed name or option */
    VMNET_BROKER_NOT_FOUND = 5,       /* no such network is defined */
    VMNET_BROKER_CREATE_FAILURE = 6,  /* the system refused to create the network */
    VMNET_BROKER_INTERNAL_ERROR = 7   /* anything else */
} vmnet_broker_return_t;

/* A sentence for a status; never NULL, never freed. */
const char *vmnet_broker_strerror(vmnet_broker_return_t status);

#ifdef __APPLE__
/* The serialization of a network, for vmnet_network_create_with_serialization().
 * Release with xpc_release(); that does not give the network back. */
typedef xpc_object_t vmnet_broker_network_ref;
#else
/* A network that this process holds. Freed with vmnet_broker_network_free(), which
 * does not give the network back; vmnet_broker_release_network() does. */
typedef struct vmnet_broker_network *vmnet_broker_network_ref;
#endif

/*
 * Take a shared reference to a network, creating the network if nobody holds it.
 *
 * network_name  "shared", "host", or the name of a definition file
 * status        set to the outcome when not NULL
 *
 * Returns the network, which the caller owns, or NULL. Asking again for a network
 * that this process holds gives the same answer and counts as one reference.
 * On Linux this starts the user's broker when none runs.
 */
vmnet_broker_network_ref vmnet_broker_acquire_network(const char *network_name,
                                                      vmnet_broker_return_t *status);

#ifndef __APPLE__

/* Why the last call on this thread failed: what, where and the remedy, as the broker
 * said it; "" when it did not fail. Never NULL; valid until the next call on this
 * thread. */
const char *vmnet_broker_last_error(void);

/* Give back a network that vmnet_broker_acquire_network() took. Interfaces started on
 * it keep working as long as their descriptors are open. */
vmnet_broker_return_t vmnet_broker_release_network(const char *network_name);

/* Free the description of a network. NULL is fine. */
void vmnet_broker_network_free(vmnet_broker_network_ref network);

/*
 * What the broker said about the network when it was acquired. Texts live as long as
 * the network object; those that can be absent (of a network without IPv6, say) are
 * then NULL.
 *
 * id      a UUID, new each time the network is created
 * mode    "shared" or "host"
 * mtu     bytes, without the link header
 * subnet  "192.168.64.0/24", gateway "192.168.64.1"
 * uplink  "none", "checking", "ok" or "failed: why"
 */
const char *vmnet_broker_network_name(vmnet_broker_network_ref network);
const char *vmnet_broker_network_id(vmnet_broker_network_ref network);
const char *vmnet_broker_network_mode(vmnet_broker_network_ref network);
unsigned vmnet_broker_network_mtu(vmnet_broker_network_ref network);
const char *vmnet_broker_network_ipv4_subnet(vmnet_broker_network_ref network);
const char *vmnet_broker_network_ipv4_gateway(vmnet_broker_network_ref network);
const char *vmnet_broker_network_ipv6_prefix(vmnet_broker_network_ref network);
const char *vmnet_broker_network_ipv6_gateway(vmnet_broker_network_ref network);
const char *vmnet_broker_network_uplink(vmnet_broker_network_ref network);

/* What to ask for when starting an interface. Zero the whole struct first
 * (`= VMNET_BROKER_INTERFACE_OPTIONS_INIT`), then set what you need. */
typedef struct {
    size_t size;              /* of this struct, as your program was compiled */
    const char *interface_id; /* a stable id of the VM's interface, or NULL */
    const char *name;         /* the VM's DNS name on the network, or NULL */
    const char *mac_address;  /* "52:54:00:12:34:56", or NULL: the broker chooses */
    unsigned queues;          /* 1 to 16 TAP queues; 0 means 1 */
    int no_offload;           /* nonzero: plain frames without a vnet header */
    int isolated;             /* nonzero: reach the gateway but no other VM */
    int by_name;              /* nonzero: the VM opens its TAP by vmnet_broker_interface_tap() */
} vmnet_broker_interface_options;

#define VMNET_BROKER_INTERFACE_OPTIONS_INIT                                                        \
    {                                                                                              \
        sizeof(vmnet_broker_interface_options), 0, 0, 0, 0, 0, 0, 0                                \
    }

typedef struct vmnet_broker_interface *vmnet_broker_interface_ref;

/*
 * Start an interface on a network that this process holds.
 *
 * The same interface_id (or without one, the same name) gets the same MAC, IPv4
 * address and DNS name every time; without either the interface is ephemeral.
 * options may be NULL: an ephemeral interface with one queue and offload.
 *
 * Returns the interface, which the caller owns, or NULL with *status set. The
 * interface exists as long as one of its descriptors is open in any process.
 *
 * by_name is for VMs that cannot be given a descriptor. It takes a user's own broker, in
 * whose namespace the VM has to run (vmnet-brokerctl run --in-namespace). Then the interface
 * exists until the returned object is freed or the process ends, and beyond that as long as the
 * VM has the TAP open.
 */
vmnet_broker_interface_ref
vmnet_broker_start_interface(vmnet_broker_network_ref network,
                             const vmnet_broker_interface_options *options,
                             vmnet_broker_return_t *status);

/* Free the description and close the descriptors that were not taken. NULL is fine. */
void vmnet_broker_interface_free(vmnet_broker_interface_ref interface);

const char *vmnet_broker_interface_id(vmnet_broker_interface_ref interface);
const char *vmnet_broker_interface_name(vmnet_broker_interface_ref interface); /* or NULL */
const char *vmnet_broker_interface_mac_address(vmnet_broker_interface_ref interface);
const char *vmnet_broker_interface_ipv4_address(vmnet_broker_interface_ref interface); /* or NULL */
unsigned vmnet_broker_interface_mtu(vmnet_broker_interface_ref interface);
/* Bytes of the largest frame with its link header, without the vnet header. */
unsigned vmnet_broker_interface_max_packet_size(vmnet_broker_interface_ref interface);
/* How many TAP descriptors there are to take; by name, none. */
unsigned vmnet_broker_interface_queues(vmnet_broker_interface_ref interface);
/* The TAP's name inside the namespace, when it was started by name; else NULL. */
const char *vmnet_broker_interface_tap(vmnet_broker_interface_ref interface);
/* The TAP descriptor of one queue, close-on-exec; ownership passes to the caller, so a
 * second call for the same queue gives -1, as does a queue that does not exist. */
int vmnet_broker_interface_take_fd(vmnet_broker_interface_ref interface, unsigned queue);

/* A port of the host that shall lead to a VM. Zero the whole struct first
 * (`= VMNET_BROKER_FORWARD_OPTIONS_INIT`), then set what you need. */
typedef struct {
    size_t size;                /* of this struct, as your program was compiled */
    unsigned external_port;     /* of the host */
    unsigned internal_port;     /* of the VM */
    int udp;                    /* nonzero: UDP, otherwise TCP */
    const char *listen_address; /* of the host; NULL: any */
    const char *address;        /* of the VM; NULL: the interface's IPv4 address */
} vmnet_broker_forward_options;

#define VMNET_BROKER_FORWARD_OPTIONS_INIT                                                          \
    {                                                                                              \
        sizeof(vmnet_broker_forward_options), 0, 0, 0, 0, 0                                        \
    }

/*
 * Lead a port of the host to a VM, for as long as the VM has the interface open. It sees
 * each client's own address, where that can be. Without an address of the VM, clients of
 * both versions of IP are led to it; with one, those of its own.
 *
 * VMNET_BROKER_CREATE_FAILURE: the port is taken; vmnet_broker_last_error() says by whom.
 */
vmnet_broker_return_t vmnet_broker_forward_port(vmnet_broker_interface_ref interface,
                                                const vmnet_broker_forward_options *options);

#endif /* !__APPLE__ */

#ifdef __cplusplus
}
#endif

#endif
