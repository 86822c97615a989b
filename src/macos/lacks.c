/* SPDX-License-Identifier: Apache-2.0 */
#include "lacks.h"

static bool has_names(const struct definition *def)
{
    for (size_t i = 0; i < def->n_reservations; i++)
        if (def->reservations[i].name[0] != '\0')
            return true;
    return false;
}

const struct complaint *macos_lacks(const struct definition *def, enum definition_key from,
                                    enum definition_key *ret)
{
    static const struct complaint lacks[DEFINITION_KEYS] = {
        [KEY_DNS_SERVERS] = { .what = "macOS lacks \"dns_servers\"",
                              .remedy = "remove it: VMs ask the servers that the Mac uses" },
        [KEY_DOMAIN] = { .what = "macOS lacks \"domain\"", .remedy = "remove it" },
        [KEY_DHCP_RESERVATIONS] = { .what = "macOS has no names of VMs",
                                    .remedy = "remove \"name\" from the reservations" },
        [KEY_UPLINK] = { .what = "macOS chooses the way out itself",
                         .remedy = "remove \"uplink\", or write \"auto\"" },
        [KEY_ANTI_SPOOFING] = { .what = "macOS has its own rule for what VMs may send",
                                .remedy = "remove \"anti_spoofing\", or write \"strict\"" },
        [KEY_ISOLATION] = { .what = "macOS cannot isolate the VMs of a network",
                            .remedy = "remove \"isolation\", and start interfaces with "
                                      "vmnet_enable_isolation_key" },
    };
    const bool asked[DEFINITION_KEYS] = {
        [KEY_DNS_SERVERS] = def->net.n_dns_servers > 0,
        [KEY_DOMAIN] = def->given & 1u << KEY_DOMAIN,
        [KEY_DHCP_RESERVATIONS] = has_names(def),
        [KEY_UPLINK] = def->net.uplink != UPLINK_AUTO,
        [KEY_ANTI_SPOOFING] = def->net.anti_spoofing != SPOOF_STRICT,
        [KEY_ISOLATION] = def->net.isolation,
    };
    for (unsigned key = from; key < DEFINITION_KEYS; key++)
        if (asked[key]) {
            *ret = (enum definition_key)key;
            return &lacks[key];
        }
    return NULL;
}
