/* SPDX-License-Identifier: Apache-2.0 */
/* vmnet_config.c - each key of a definition, in the form and order that vmnet wants.
 *
 * Addresses go in network order, masks too. vmnet is given the subnet's first
 * usable address, which becomes the host's: .0 worked on some systems only.
 */
#include "vmnet_config.h"

#include "lacks.h"
#include "mem.h"
#include "str.h"

#include <CoreFoundation/CoreFoundation.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const struct {
    vmnet_return_t status;
    const char *text;
} texts[] = {
    { VMNET_FAILURE, "it failed (another program may hold the same subnet)" },
    { VMNET_MEM_FAILURE,
      "out of memory, which is what vmnet says when the program lacks the entitlement "
      "com.apple.security.virtualization: sign vmnet-broker again with its entitlements "
      "(codesign -f -s - --entitlements FILE vmnet-broker)" },
    { VMNET_INVALID_ARGUMENT, "a value is not accepted" },
    { VMNET_SETUP_INCOMPLETE, "the setup is not complete" },
    { VMNET_INVALID_ACCESS, "permission denied" },
    { VMNET_SHARING_SERVICE_BUSY, "the sharing service is busy: try again" },
    { VMNET_NOT_AUTHORIZED, "this program is not authorized" },
};

const char *vmnet_status_text(vmnet_return_t status)
{
    for (size_t i = 0; i < N_ELEMENTS(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "unknown status";
}

/* ---- what is refused ---- */

/* As complaints about definitions look: "FILE:LINE:COLUMN: WHAT; REMEDY". Returns err. */
static int refuse(const struct definition *def, enum definition_key key, int err,
                  const struct complaint *why, struct failure *failure)
{
    struct complaint placed = *why;
    char line[COMPLAINT_LINE];
    if (!def->file)
        return failure_set(failure, err, "%s; %s", why->what, why->remedy);
    placed.at = def->key_at[key];
    return failure_set(failure, err, "%s", complaint_format(&placed, def->file, line, sizeof line));
}

/* What vmnet says to one key. Returns 0 or a negative errno with the words. */
static int applied(vmnet_return_t status, const struct definition *def, enum definition_key key,
                   struct failure *failure)
{
    struct complaint why = { .remedy = "choose another value" };
    if (status == VMNET_SUCCESS)
        return 0;
    if (status != VMNET_INVALID_ARGUMENT)
        return failure_set(failure, -EIO, "vmnet cannot set \"%s\": status %u: %s",
                           definition_key_name(key), (unsigned)status, vmnet_status_text(status));
    (void)str_format(why.what, sizeof why.what, "vmnet refuses \"%s\"", definition_key_name(key));
    return refuse(def, key, -EINVAL, &why, failure);
}

static int refuse_what_is_lacking(const struct definition *def, struct failure *failure)
{
    enum definition_key key;
    const struct complaint *why = macos_lacks(def, 0, &key);

    return why ? refuse(def, key, -ENOTSUP, why, failure) : 0;
}

/* ---- what is applied ---- */

static vmnet_return_t set_subnet(vmnet_network_configuration_ref config,
                                 const struct definition *def)
{
    struct in_addr addr = { htonl(subnet4_gateway(def->net.subnet)) };
    struct in_addr mask = { htonl(subnet4_mask(def->net.subnet)) };
    if (def->net.subnet.prefix == 0)
        return VMNET_SUCCESS;
    return vmnet_network_configuration_set_ipv4_subnet(config, &addr, &mask);
}

static vmnet_return_t set_prefix(vmnet_network_configuration_ref config,
                                 const struct definition *def)
{
    struct in6_addr prefix;
    if (def->net.prefix6.len == 0)
        return VMNET_SUCCESS;
    memcpy(&prefix, def->net.prefix6.addr, sizeof prefix);
    return vmnet_network_configuration_set_ipv6_prefix(config, &prefix,
                                                       (uint8_t)def->net.prefix6.len);
}

static vmnet_return_t set_interface(vmnet_network_configuration_ref config,
                                    const struct definition *def)
{
    if (def->net.external_interface[0] == '\0')
        return VMNET_SUCCESS;
    return vmnet_network_configuration_set_external_interface(config, def->net.external_interface);
}

static vmnet_return_t set_mtu(vmnet_network_configuration_ref config, const struct definition *def)
{
    if (def->net.mtu == MTU_DEFAULT)
        return VMNET_SUCCESS;
    return vmnet_network_configuration_set_mtu(config, def->net.mtu);
}

static vmnet_return_t add_reservations(vmnet_network_configuration_ref config,
                                       const struct definition *def)
{
    for (size_t i = 0; i < def->n_reservations; i++) {
        const struct reservation *r = &def->reservations[i];
        struct in_addr addr = { htonl(r->ipv4) };
        ether_addr_t mac;
        memcpy(mac.octet, r->mac.b, sizeof mac.octet);
        vmnet_return_t status =
            vmnet_network_configuration_add_dhcp_reservation(config, &mac, &addr);
        if (status != VMNET_SUCCESS)
            return status;
    }
    return VMNET_SUCCESS;
}

/* vmnet wants the VM's port before the host's. */
static vmnet_return_t add_forward(vmnet_network_configuration_ref config, const struct forward *f)
{
    uint8_t protocol = f->protocol == FORWARD_TCP ? IPPROTO_TCP : IPPROTO_UDP;
    struct in_addr v4 = { htonl(f->address.v4) };
    if (f->address.version == 4)
        return vmnet_network_configuration_add_port_forwarding_rule(
            config, protocol, AF_INET, f->internal_port, f->external_port, &v4);
    return vmnet_network_configuration_add_port_forwarding_rule(
        config, protocol, AF_INET6, f->internal_port, f->external_port, f->address.v6);
}

static vmnet_return_t add_forwards(vmnet_network_configuration_ref config,
                                   const struct definition *def)
{
    for (size_t i = 0; i < def->n_forwards; i++) {
        vmnet_return_t status = add_forward(config, &def->forwards[i]);
        if (status != VMNET_SUCCESS)
            return status;
    }
    return VMNET_SUCCESS;
}

static void disable_services(vmnet_network_configuration_ref config, const struct net_def *net)
{
    if (!net->nat44)
        vmnet_network_configuration_disable_nat44(config);
    if (!net->nat66)
        vmnet_network_configuration_disable_nat66(config);
    if (!net->dhcp)
        vmnet_network_configuration_disable_dhcp(config);
    if (!net->dns_proxy)
        vmnet_network_configuration_disable_dns_proxy(config);
    if (!net->router_advertisement)
        vmnet_network_configuration_disable_router_advertisement(config);
}

/* Reservations and forwards need the subnet, which comes first. */
static int configure(vmnet_network_configuration_ref config, const struct definition *def,
                     struct failure *failure)
{
    static const struct {
        enum definition_key key;
        vmnet_return_t (*apply)(vmnet_network_configuration_ref, const struct definition *);
    } steps[] = {
        { KEY_SUBNET, set_subnet },
        { KEY_IPV6_PREFIX, set_prefix },
        { KEY_EXTERNAL_INTERFACE, set_interface },
        { KEY_MTU, set_mtu },
        { KEY_DHCP_RESERVATIONS, add_reservations },
        { KEY_PORT_FORWARDING, add_forwards },
    };
    for (size_t i = 0; i < N_ELEMENTS(steps); i++)
        if (applied(steps[i].apply(config, def), def, steps[i].key, failure) < 0)
            return failure->err;
    disable_services(config, &def->net);
    return 0;
}

vmnet_network_configuration_ref vmnet_config_new(const struct definition *def,
                                                 struct failure *failure)
{
    vmnet_mode_t mode = def->net.mode == NET_MODE_HOST ? VMNET_HOST_MODE : VMNET_SHARED_MODE;
    vmnet_return_t status = VMNET_SUCCESS;

    if (refuse_what_is_lacking(def, failure) < 0)
        return NULL;
    vmnet_network_configuration_ref config = vmnet_network_configuration_create(mode, &status);
    if (!config) {
        (void)failure_set(failure, -EIO, "vmnet makes no configuration: status %u: %s",
                          (unsigned)status, vmnet_status_text(status));
        return NULL;
    }
    if (configure(config, def, failure) < 0) {
        CFRelease(config);
        return NULL;
    }
    return config;
}
