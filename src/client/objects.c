/* SPDX-License-Identifier: Apache-2.0 */
/* objects.c - networks and interfaces as callers see them.
 *
 * An object keeps the JSON that it came from, checked once, so that accessors only
 * look up and never fail. A reply is believed only in its whole form: a broker of
 * another version or a stranger must not get a NULL or a wrong descriptor into a VMM.
 */
#include "objects.h"
#include "fd.h"
#include "mem.h"

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct vmnet_broker_network {
    json_t *json;
    const char *name, *id, *mode, *uplink;
    const char *ipv4_subnet, *ipv4_gateway, *ipv6_prefix, *ipv6_gateway;
    unsigned mtu;
};

struct vmnet_broker_interface {
    json_t *json;
    const char *id, *network, *name, *mac_address, *ipv4_address, *tap;
    unsigned mtu, max_packet_size, queues;
    int fds[VARLINK_FDS_MAX];
    int hold; /* by name; else -1 */
};

struct text_field {
    const char *key, **value;
    bool optional;
};

/* To Varlink, absent and null are the same. */
static int read_texts(const json_t *json, const struct text_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(json, fields[i].key);
        bool absent = !value || json_is_null(value);
        if (absent ? !fields[i].optional : !json_is_string(value))
            return -EPROTO;
        *fields[i].value = absent ? NULL : json_string_value(value);
    }
    return 0;
}

static int read_size(const json_t *json, const char *key, unsigned max, unsigned *ret)
{
    const json_t *value = json_object_get(json, key);
    json_int_t n = json_integer_value(value); /* 0 for what is no integer */
    if (n < 1 || n > (json_int_t)max)
        return -EPROTO;
    *ret = (unsigned)n;
    return 0;
}

static int read_network(struct vmnet_broker_network *net)
{
    const struct text_field texts[] = {
        { "name", &net->name, false },
        { "id", &net->id, false },
        { "mode", &net->mode, false },
        { "uplink", &net->uplink, false },
        { "ipv4_subnet", &net->ipv4_subnet, true },
        { "ipv4_gateway", &net->ipv4_gateway, true },
        { "ipv6_prefix", &net->ipv6_prefix, true },
        { "ipv6_gateway", &net->ipv6_gateway, true },
    };
    int r = read_texts(net->json, texts, N_ELEMENTS(texts));
    return r < 0 ? r : read_size(net->json, "mtu", UINT16_MAX, &net->mtu);
}

int network_from_reply(const struct reply *reply, vmnet_broker_network_ref *ret)
{
    struct vmnet_broker_network *net = calloc(1, sizeof *net);
    if (!net)
        return -ENOMEM;
    net->json = json_incref(json_object_get(reply->parameters, "network"));
    int r = reply->n_fds > 0 ? -EPROTO : read_network(net);
    if (r < 0) {
        vmnet_broker_network_free(net);
        return r;
    }
    *ret = net;
    return 0;
}

const json_t *network_json(vmnet_broker_network_ref network)
{
    return network->json;
}

void vmnet_broker_network_free(vmnet_broker_network_ref network)
{
    if (!network)
        return;
    json_decref(network->json);
    free(network);
}

const char *vmnet_broker_network_name(vmnet_broker_network_ref network)
{
    return network->name;
}

const char *vmnet_broker_network_id(vmnet_broker_network_ref network)
{
    return network->id;
}

const char *vmnet_broker_network_mode(vmnet_broker_network_ref network)
{
    return network->mode;
}

unsigned vmnet_broker_network_mtu(vmnet_broker_network_ref network)
{
    return network->mtu;
}

const char *vmnet_broker_network_ipv4_subnet(vmnet_broker_network_ref network)
{
    return network->ipv4_subnet;
}

const char *vmnet_broker_network_ipv4_gateway(vmnet_broker_network_ref network)
{
    return network->ipv4_gateway;
}

const char *vmnet_broker_network_ipv6_prefix(vmnet_broker_network_ref network)
{
    return network->ipv6_prefix;
}

const char *vmnet_broker_network_ipv6_gateway(vmnet_broker_network_ref network)
{
    return network->ipv6_gateway;
}

const char *vmnet_broker_network_uplink(vmnet_broker_network_ref network)
{
    return network->uplink;
}

static int read_interface(struct vmnet_broker_interface *iface)
{
    const struct text_field texts[] = {
        { "id", &iface->id, false },
        { "network_name", &iface->network, false },
        { "mac_address", &iface->mac_address, false },
        { "name", &iface->name, true },
        { "ipv4_address", &iface->ipv4_address, true },
        { "tap", &iface->tap, true },
    };
    int r = read_texts(iface->json, texts, N_ELEMENTS(texts));
    if (r == 0)
        r = read_size(iface->json, "mtu", UINT16_MAX, &iface->mtu);
    if (r == 0) /* with segmentation offload a frame is longer than the MTU */
        r = read_size(iface->json, "max_packet_size", 1u << 20, &iface->max_packet_size);
    return r;
}

static bool is_tap(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(10, 200);
}

/* Each queue names its descriptor; none may be named twice or left over. */
static int take_queues(struct vmnet_broker_interface *iface, struct reply *reply, unsigned queues)
{
    const json_t *fds = json_object_get(iface->json, "fds");
    if (json_array_size(fds) != queues || reply->n_fds != queues)
        return -EPROTO;
    for (unsigned i = 0; i < queues; i++) {
        const json_t *index = json_array_get(fds, i);
        json_int_t n = json_integer_value(index);
        if (!json_is_integer(index) || n < 0 || n >= (json_int_t)queues || !is_tap(reply->fds[n]))
            return -EPROTO;
        iface->fds[i] = fd_take(&reply->fds[n]);
        iface->queues = i + 1;
    }
    return 0;
}

/* By name there is one descriptor, and none of a TAP. */
static int take_hold(struct vmnet_broker_interface *iface, struct reply *reply)
{
    const json_t *index = json_object_get(iface->json, "hold_fd");
    if (!iface->tap || reply->n_fds != 1 || !json_is_integer(index) ||
        json_integer_value(index) != 0 || json_array_size(json_object_get(iface->json, "fds")) != 0)
        return -EPROTO;
    iface->hold = fd_take(&reply->fds[0]);
    return 0;
}

int interface_from_reply(struct reply *reply, const vmnet_broker_interface_options *asked,
                         vmnet_broker_interface_ref *ret)
{
    struct vmnet_broker_interface *iface = calloc(1, sizeof *iface);
    if (!iface)
        return -ENOMEM;
    iface->hold = -1;
    iface->json = json_incref(json_object_get(reply->parameters, "interface"));
    int r = read_interface(iface);
    if (r == 0)
        r = asked->by_name ? take_hold(iface, reply) : take_queues(iface, reply, asked->queues);
    if (r < 0) {
        vmnet_broker_interface_free(iface);
        return r;
    }
    *ret = iface;
    return 0;
}

void vmnet_broker_interface_free(vmnet_broker_interface_ref interface)
{
    if (!interface)
        return;
    for (unsigned i = 0; i < interface->queues; i++)
        fd_closep(&interface->fds[i]);
    fd_closep(&interface->hold);
    json_decref(interface->json);
    free(interface);
}

const char *interface_network(vmnet_broker_interface_ref interface)
{
    return interface->network;
}

const char *vmnet_broker_interface_id(vmnet_broker_interface_ref interface)
{
    return interface->id;
}

const char *vmnet_broker_interface_name(vmnet_broker_interface_ref interface)
{
    return interface->name;
}

const char *vmnet_broker_interface_mac_address(vmnet_broker_interface_ref interface)
{
    return interface->mac_address;
}

const char *vmnet_broker_interface_ipv4_address(vmnet_broker_interface_ref interface)
{
    return interface->ipv4_address;
}

unsigned vmnet_broker_interface_mtu(vmnet_broker_interface_ref interface)
{
    return interface->mtu;
}

unsigned vmnet_broker_interface_max_packet_size(vmnet_broker_interface_ref interface)
{
    return interface->max_packet_size;
}

unsigned vmnet_broker_interface_queues(vmnet_broker_interface_ref interface)
{
    return interface->queues;
}

const char *vmnet_broker_interface_tap(vmnet_broker_interface_ref interface)
{
    return interface->tap;
}

int vmnet_broker_interface_take_fd(vmnet_broker_interface_ref interface, unsigned queue)
{
    return queue < interface->queues ? fd_take(&interface->fds[queue]) : -1;
}
