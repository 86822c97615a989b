/* SPDX-License-Identifier: Apache-2.0 */
/* vmnet_config.c - each key of a definition, in the form and order that vmnet wants.
 *
 * Addresses go in network order, masks too. vmnet is given the subnet's first
 * usable address, which becomes the host's: .0 worked on some systems only.
 */
#include "vmnet_config.h"

#include "mem.h"

#include <CoreFoundation/CoreFoundation.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

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

/* Returns 0 or -EINVAL with the words. */
static int applied(vmnet_return_t status, const char *key, struct failure *failure)
{
    if (status == VMNET_SUCCESS)
        return 0;
    return failure_set(failure, -EINVAL, "vmnet refuses '%s': %s (status %u)", key,
                       vmnet_status_text(status), (unsigned)status);
}

static int refuse_unsupported(const struct net_def *def, struct failure *failure)
{
    if (def->isolation)
        return failure_set(failure, -ENOTSUP,
                           "macOS cannot isolate the VMs of a network: remove 'isolation', and "
                           "start interfaces with vmnet_enable_isolation_key");
    if (def->anti_spoofing != SPOOF_STRICT)
        return failure_set(failure, -ENOTSUP,
                           "macOS has its own rule for what VMs may send: remove 'anti_spoofing'");
    if (def->uplink != UPLINK_AUTO)
        return failure_set(failure, -ENOTSUP,
                           "macOS chooses the way out itself: remove 'uplink', or set \"auto\"");
    return 0;
}

static int set_subnet(vmnet_network_configuration_ref config, const struct net_def *def,
                      struct failure *failure)
{
    if (def->subnet.prefix == 0)
        return 0;
    struct in_addr addr = { htonl(subnet4_gateway(def->subnet)) };
    struct in_addr mask = { htonl(subnet4_mask(def->subnet)) };
    return applied(vmnet_network_configuration_set_ipv4_subnet(config, &addr, &mask), "subnet",
                   failure);
}

static int set_prefix(vmnet_network_configuration_ref config, const struct net_def *def,
                      struct failure *failure)
{
    if (def->prefix6.len == 0)
        return 0;
    struct in6_addr prefix;
    memcpy(&prefix, def->prefix6.addr, sizeof prefix);
    return applied(
        vmnet_network_configuration_set_ipv6_prefix(config, &prefix, (uint8_t)def->prefix6.len),
        "ipv6_prefix", failure);
}

static int set_mtu(vmnet_network_configuration_ref config, const struct net_def *def,
                   struct failure *failure)
{
    if (def->mtu == MTU_DEFAULT)
        return 0;
    return applied(vmnet_network_configuration_set_mtu(config, def->mtu), "mtu", failure);
}

static void disable_services(vmnet_network_configuration_ref config, const struct net_def *def)
{
    if (!def->nat44)
        vmnet_network_configuration_disable_nat44(config);
    if (!def->nat66)
        vmnet_network_configuration_disable_nat66(config);
    if (!def->dhcp)
        vmnet_network_configuration_disable_dhcp(config);
    if (!def->dns_proxy)
        vmnet_network_configuration_disable_dns_proxy(config);
    if (!def->router_advertisement)
        vmnet_network_configuration_disable_router_advertisement(config);
}

vmnet_network_configuration_ref vmnet_config_new(const struct net_def *def, struct failure *failure)
{
    vmnet_mode_t mode = def->mode == NET_MODE_HOST ? VMNET_HOST_MODE : VMNET_SHARED_MODE;
    vmnet_return_t status = VMNET_SUCCESS;

    if (refuse_unsupported(def, failure) < 0)
        return NULL;
    vmnet_network_configuration_ref config = vmnet_network_configuration_create(mode, &status);
    if (!config) {
        (void)applied(status, "mode", failure);
        return NULL;
    }
    if (set_subnet(config, def, failure) < 0 || set_prefix(config, def, failure) < 0 ||
        set_mtu(config, def, failure) < 0) {
        CFRelease(config);
        return NULL;
    }
    disable_services(config, def);
    return config;
}
