/* SPDX-License-Identifier: Apache-2.0 */
/* vmnet.c - network configurations, networks, and their serialization.
 *
 * A reservation is an exclusive lock on the file $SIM_DIR/subnet-A.B.C.0: it
 * excludes every other process, and the kernel drops it when its holder dies,
 * like the real one. The file's text says what was asked for, so that a test can
 * see whether each option arrived. Networks are chosen from 192.168.64.0/24
 * upward, and the address reported is the host's, .1.
 *
 * The holder of a network made from a serialization has no reservation: when the
 * creator goes, the network goes.
 */
#include "vmnet_sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

const char *const vmnet_interface_id_key = "vmnet_interface_id";
const char *const vmnet_mac_address_key = "vmnet_mac_address";
const char *const vmnet_allocate_mac_address_key = "vmnet_allocate_mac_address";
const char *const vmnet_mtu_key = "vmnet_mtu";
const char *const vmnet_max_packet_size_key = "vmnet_max_packet_size";
const char *const vmnet_read_max_packets_key = "vmnet_read_max_packets";
const char *const vmnet_write_max_packets_key = "vmnet_write_max_packets";
const char *const vmnet_enable_isolation_key = "vmnet_enable_isolation";
const char *const vmnet_enable_tso_key = "vmnet_enable_tso";
const char *const vmnet_enable_checksum_offload_key = "vmnet_enable_checksum_offload";
const char *const vmnet_estimated_packets_available_key = "vmnet_estimated_packets_available";

static void report(vmnet_return_t *status, vmnet_return_t value)
{
    if (status)
        *status = value;
}

/* ---- configurations ---- */

static const struct sim_class config_class = { "vmnet_network_configuration", SIM_CF, NULL };

/* "FIRST,SECOND"; what does not fit is left out. */
__attribute__((format(printf, 3, 4))) static void append(char *list, size_t size,
                                                         const char *format, ...)
{
    va_list ap;
    if (list[0] != '\0')
        strncat(list, ",", size - 1 - strlen(list));
    size_t len = strlen(list);
    va_start(ap, format);
    (void)vsnprintf(list + len, size - len, format, ap);
    va_end(ap);
}

static vmnet_network_configuration_ref config(vmnet_network_configuration_ref c, const char *caller)
{
    if (sim_check(c, SIM_CF, caller)->class != &config_class)
        sim_misuse("%s: given something else instead of a configuration", caller);
    return c;
}

vmnet_network_configuration_ref vmnet_network_configuration_create(vmnet_mode_t mode,
                                                                   vmnet_return_t *status)
{
    if (mode != VMNET_SHARED_MODE && mode != VMNET_HOST_MODE) {
        report(status, VMNET_INVALID_ARGUMENT);
        return NULL;
    }
    long injected = sim_injected("vmnet_network_configuration_create");
    report(status, injected ? (vmnet_return_t)injected : VMNET_SUCCESS);
    if (injected)
        return NULL;
    vmnet_network_configuration_ref c = sim_new(sizeof *c, &config_class);
    c->mode = mode;
    c->mtu = 1500;
    c->nat44 = c->nat66 = c->dhcp = c->dns_proxy = c->router_advertisement = true;
    return c;
}

vmnet_return_t vmnet_network_configuration_set_external_interface(vmnet_network_configuration_ref c,
                                                                  const char *ifname)
{
    config(c, "vmnet_network_configuration_set_external_interface");
    if (c->mode != VMNET_SHARED_MODE || strlen(ifname) >= sizeof c->external_interface)
        return VMNET_INVALID_ARGUMENT;
    (void)snprintf(c->external_interface, sizeof c->external_interface, "%s", ifname);
    return VMNET_SUCCESS;
}

/* A mask must be a run of ones, and the network private. */
static bool private_subnet(uint32_t addr, uint32_t mask)
{
    static const uint32_t blocks[][2] = { { 0xc0a80000, 0xffff0000 },
                                          { 0xac100000, 0xfff00000 },
                                          { 0x0a000000, 0xff000000 } };
    if (mask > 0xfffffffc || (~mask & (~mask + 1)) != 0)
        return false;
    for (size_t i = 0; i < 3; i++)
        if ((addr & blocks[i][1]) == blocks[i][0] && (mask & blocks[i][1]) == blocks[i][1])
            return true;
    return false;
}

vmnet_return_t vmnet_network_configuration_set_ipv4_subnet(vmnet_network_configuration_ref c,
                                                           const struct in_addr *subnet_addr,
                                                           const struct in_addr *subnet_mask)
{
    config(c, "vmnet_network_configuration_set_ipv4_subnet");
    if (!private_subnet(ntohl(subnet_addr->s_addr), ntohl(subnet_mask->s_addr)))
        return VMNET_INVALID_ARGUMENT;
    c->subnet = *subnet_addr;
    c->mask = *subnet_mask;
    return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_ipv6_prefix(vmnet_network_configuration_ref c,
                                                           const struct in6_addr *prefix,
                                                           uint8_t len)
{
    config(c, "vmnet_network_configuration_set_ipv6_prefix");
    if (len == 0 || len > 64)
        return VMNET_INVALID_ARGUMENT;
    c->prefix = *prefix;
    c->prefix_len = len;
    return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_mtu(vmnet_network_configuration_ref c, uint32_t mtu)
{
    config(c, "vmnet_network_configuration_set_mtu");
    if (mtu < 1280 || mtu > 9000)
        return VMNET_INVALID_ARGUMENT;
    c->mtu = mtu;
    return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_add_dhcp_reservation(vmnet_network_configuration_ref c,
                                                                const ether_addr_t *client,
                                                                const struct in_addr *reservation)
{
    config(c, "vmnet_network_configuration_add_dhcp_reservation");
    if (!client || !c->mask.s_addr ||
        (c->mask.s_addr & (c->subnet.s_addr ^ reservation->s_addr)) != 0)
        return VMNET_INVALID_ARGUMENT;
    char addr[INET_ADDRSTRLEN];
    const unsigned char *o = client->octet;
    inet_ntop(AF_INET, reservation, addr, sizeof addr);
    append(c->reservations, sizeof c->reservations, "%02x:%02x:%02x:%02x:%02x:%02x=%s", o[0], o[1],
           o[2], o[3], o[4], o[5], addr);
    return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_add_port_forwarding_rule(
    vmnet_network_configuration_ref c, uint8_t protocol, sa_family_t address_family,
    uint16_t internal_port, uint16_t external_port, const void *internal_address)
{
    config(c, "vmnet_network_configuration_add_port_forwarding_rule");
    if ((protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) ||
        (address_family != AF_INET && address_family != AF_INET6) || !internal_port ||
        !external_port || !internal_address)
        return VMNET_INVALID_ARGUMENT;
    char addr[INET6_ADDRSTRLEN];
    inet_ntop(address_family, internal_address, addr, sizeof addr);
    append(c->forwards, sizeof c->forwards, "%s:%u=[%s]:%u",
           protocol == IPPROTO_TCP ? "tcp" : "udp", external_port, addr, internal_port);
    return VMNET_SUCCESS;
}

#define DISABLE(what)                                                                              \
    void vmnet_network_configuration_disable_##what(vmnet_network_configuration_ref c)             \
    {                                                                                              \
        config(c, "vmnet_network_configuration_disable_" #what)->what = false;                     \
    }
DISABLE(nat44)
DISABLE(nat66)
DISABLE(dhcp)
DISABLE(dns_proxy)
DISABLE(router_advertisement)

/* ---- reservations ---- */

static void dispose_network(void *object)
{
    vmnet_network_ref n = object;
    if (n->lock_fd >= 0) {
        (void)!ftruncate(n->lock_fd, 0);
        close(n->lock_fd);
    }
}

static const struct sim_class network_class = { "vmnet_network", SIM_CF, dispose_network };

void sim_network_path(const struct vmnet_network *n, const char *what, char *path, size_t size)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr base = { n->gateway.s_addr & n->mask.s_addr };
    inet_ntop(AF_INET, &base, text, sizeof text);
    int len = snprintf(path, size, "%s/%s-%s", sim_dir(), what, text);
    if (len < 0 || (size_t)len >= size)
        sim_misuse("SIM_DIR is too long");
}

/* An open-file-description lock, which can be looked at without taking it. */
static int reservation(int fd, int command, struct flock *l)
{
    *l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(fd, command, l);
}

static bool reserve(vmnet_network_ref n)
{
    char path[256];
    struct flock l;
    sim_network_path(n, "subnet", path, sizeof path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        sim_misuse("cannot open %s", path);
    if (reservation(fd, F_OFD_SETLK, &l) < 0) {
        close(fd);
        return false;
    }
    n->lock_fd = fd;
    return true;
}

bool sim_network_reserved(const struct vmnet_network *n)
{
    char path[256];
    struct flock l;
    sim_network_path(n, "subnet", path, sizeof path);
    if (n->lock_fd >= 0)
        return true;
    int fd = open(path, O_RDONLY | O_CLOEXEC); /* the creator may be another user */
    bool held = fd >= 0 && reservation(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
    if (fd >= 0)
        close(fd);
    return held;
}

static bool reserve_some(vmnet_network_ref n)
{
    n->mask.s_addr = htonl(0xffffff00);
    for (uint32_t third = 64; third < 256; third++) {
        n->gateway.s_addr = htonl(0xc0a80001 | third << 8);
        if (reserve(n))
            return true;
    }
    return false;
}

static void write_down(vmnet_network_ref n, vmnet_network_configuration_ref c)
{
    char gateway[INET_ADDRSTRLEN], mask[INET_ADDRSTRLEN], prefix[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET, &n->gateway, gateway, sizeof gateway);
    inet_ntop(AF_INET, &n->mask, mask, sizeof mask);
    inet_ntop(AF_INET6, &n->prefix, prefix, sizeof prefix);
    (void)!ftruncate(n->lock_fd, 0);
    dprintf(n->lock_fd,
            "mode=%s gateway=%s mask=%s prefix=%s/%u mtu=%u nat44=%d nat66=%d dhcp=%d "
            "dns_proxy=%d router_advertisement=%d external=%s reservations=%s forwards=%s pid=%d\n",
            c->mode == VMNET_SHARED_MODE ? "shared" : "host", gateway, mask, prefix, n->prefix_len,
            n->mtu, c->nat44, c->nat66, c->dhcp, c->dns_proxy, c->router_advertisement,
            c->external_interface, c->reservations, c->forwards, (int)getpid());
}

/* ---- networks ---- */

static vmnet_network_ref network(vmnet_network_ref n, const char *caller)
{
    if (sim_check(n, SIM_CF, caller)->class != &network_class)
        sim_misuse("%s: given something else instead of a network", caller);
    return n;
}

static vmnet_network_ref network_new(void)
{
    vmnet_network_ref n = sim_new(sizeof *n, &network_class);
    n->lock_fd = -1;
    return n;
}

static void choose_prefix(vmnet_network_ref n, vmnet_network_configuration_ref c)
{
    n->prefix = c->prefix;
    n->prefix_len = c->prefix_len;
    if (n->prefix_len)
        return;
    n->prefix_len = 64;
    n->prefix.s6_addr[0] = 0xfd;
    (void)!getrandom(n->prefix.s6_addr + 1, 5, 0);
}

vmnet_network_ref vmnet_network_create(vmnet_network_configuration_ref c, vmnet_return_t *status)
{
    config(c, "vmnet_network_create");
    long injected = sim_injected("vmnet_network_create");
    if (injected) {
        report(status, (vmnet_return_t)injected);
        return NULL;
    }
    vmnet_network_ref n = network_new();
    n->mtu = c->mtu;
    choose_prefix(n, c);
    n->mask = c->mask;
    n->gateway.s_addr = (c->subnet.s_addr & c->mask.s_addr) | htonl(1);
    if (c->mask.s_addr ? !reserve(n) : !reserve_some(n)) {
        sim_release(n, SIM_CF, "vmnet_network_create");
        report(status, VMNET_FAILURE);
        return NULL;
    }
    write_down(n, c);
    report(status, VMNET_SUCCESS);
    return n;
}

void vmnet_network_get_ipv4_subnet(vmnet_network_ref n, struct in_addr *subnet,
                                   struct in_addr *mask)
{
    network(n, "vmnet_network_get_ipv4_subnet");
    *subnet = n->gateway;
    *mask = n->mask;
}

void vmnet_network_get_ipv6_prefix(vmnet_network_ref n, struct in6_addr *prefix,
                                   uint8_t *prefix_len)
{
    network(n, "vmnet_network_get_ipv6_prefix");
    *prefix = n->prefix;
    *prefix_len = n->prefix_len;
}

/* Programs may look at nothing in it, so its keys are nobody's business. */
#define KEY_SECRET "sim"

xpc_object_t vmnet_network_copy_serialization(vmnet_network_ref n, vmnet_return_t *status)
{
    network(n, "vmnet_network_copy_serialization");
    long injected = sim_injected("vmnet_network_copy_serialization");
    report(status, injected ? (vmnet_return_t)injected : VMNET_SUCCESS);
    if (injected)
        return NULL;
    struct {
        struct in_addr gateway, mask;
        uint32_t mtu;
    } content = { n->gateway, n->mask, n->mtu };
    xpc_object_t serialization = xpc_dictionary_create_empty();
    xpc_dictionary_set_data(serialization, KEY_SECRET, &content, sizeof content);
    return serialization;
}

vmnet_network_ref vmnet_network_create_with_serialization(xpc_object_t serialization,
                                                          vmnet_return_t *status)
{
    struct {
        struct in_addr gateway, mask;
        uint32_t mtu;
    } content;
    size_t len = 0;
    const void *bytes = NULL;
    if (xpc_get_type(serialization) == XPC_TYPE_DICTIONARY)
        bytes = xpc_dictionary_get_data(serialization, KEY_SECRET, &len);
    if (!bytes || len != sizeof content) {
        report(status, VMNET_INVALID_ARGUMENT);
        return NULL;
    }
    memcpy(&content, bytes, sizeof content);
    vmnet_network_ref n = network_new();
    n->gateway = content.gateway;
    n->mask = content.mask;
    n->mtu = content.mtu;
    bool held = sim_network_reserved(n);
    report(status, held ? VMNET_SUCCESS : VMNET_FAILURE);
    if (held)
        return n;
    sim_release(n, SIM_CF, "vmnet_network_create_with_serialization");
    return NULL;
}
