/* SPDX-License-Identifier: Apache-2.0 */
/* vmnet_sim.h - what the two vmnet files share. */
#pragma once
#include "sim.h"

#include <vmnet/vmnet.h>

struct vmnet_network_configuration {
    struct sim_object base;
    vmnet_mode_t mode;
    struct in_addr subnet, mask; /* mask 0: to be chosen; subnet as it was given */
    struct in6_addr prefix;
    uint8_t prefix_len;
    uint32_t mtu;
    bool nat44, nat66, dhcp, dns_proxy, router_advertisement;
    char external_interface[16];
    char reservations[256], forwards[256]; /* as write_down() shows them */
};

struct vmnet_network {
    struct sim_object base;
    struct in_addr gateway, mask;
    struct in6_addr prefix;
    uint8_t prefix_len;
    uint32_t mtu;
    int lock_fd; /* the reservation; -1 in a network made from a serialization */
};

/* Does somebody hold the reservation of this network? */
bool sim_network_reserved(const struct vmnet_network *network);
void sim_network_path(const struct vmnet_network *network, const char *what, char *path,
                      size_t size);
