/* SPDX-License-Identifier: Apache-2.0 */
/* net_def.h - what a network is, before it exists: the part of its definition that a
 * backend builds it by.
 *
 * A plain value: copied, compared and passed around freely, owning nothing. What can
 * change while the network lives (reservations, forwards, who may use it) stands beside
 * it, in definition.h. `shared` and `host` are built in.
 */
#pragma once
#include "addr.h"

#include <stdbool.h>
#include <stdint.h>

/* A name is one DNS label, since VMs are found as NAME.NETWORK.vmnet.internal:
 * 1 to 63 of a-z, 0-9 and '-', neither beginning nor ending with '-'. */
#define NAME_SIZE  64 /* with its NUL */
#define NAME_RULES "1 to 63 characters of a-z, 0-9 and '-', not beginning or ending with '-'"

#define DNS_SUFFIX "vmnet.internal"

enum net_mode { NET_MODE_SHARED, NET_MODE_HOST };
enum anti_spoofing { SPOOF_STRICT, SPOOF_MAC, SPOOF_OFF };
enum uplink_kind { UPLINK_AUTO, UPLINK_USER, UPLINK_KERNEL };

/* As definitions write them, by their values. */
extern const char *const anti_spoofing_words[SPOOF_OFF + 1];
extern const char *const uplink_words[UPLINK_KERNEL + 1];

#define INTERFACE_NAME_SIZE 16  /* as the kernel's IFNAMSIZ */
#define DOMAIN_SIZE         254 /* a DNS name without its last dot, with its NUL */
#define DNS_SERVERS_MAX     4

#define MTU_DEFAULT 1500u
#define MTU_MIN     1280u /* IPv6 needs it */
#define MTU_MAX     65521u

struct net_def {
    char name[NAME_SIZE];
    enum net_mode mode;
    enum anti_spoofing anti_spoofing;
    enum uplink_kind uplink;
    struct subnet4 subnet;  /* prefix 0: the broker chooses */
    struct prefix6 prefix6; /* len 0: a random ULA /64, remembered */
    unsigned mtu;
    bool nat44, nat66, dhcp, dns_proxy, router_advertisement;
    bool isolation;                               /* VMs reach the gateway but not each other */
    bool persistent;                              /* exists from the daemon's start, never idle */
    uint32_t idle_timeout_sec;                    /* UINT32_MAX: the daemon's own */
    char external_interface[INTERFACE_NAME_SIZE]; /* the only way out; "": by the routes */
    /* With dns_proxy: whom the network's DNS server asks, instead of the host's resolvers.
     * Without: the servers that VMs are told to ask themselves. */
    struct address dns_servers[DNS_SERVERS_MAX];
    unsigned n_dns_servers;
    char domain[DOMAIN_SIZE]; /* of the VMs' names; by default NETWORK.vmnet.internal */
};

bool name_valid(const char *name);

/* A name that a VM may not take because the network uses it itself:
 * host, gateway, wpad, localhost. */
bool vm_name_reserved(const char *name);

/* What the kernel takes as the name of a network interface, and has no other meaning. */
bool interface_name_valid(const char *name);

/* Can this address be asked, by the host (dns_proxy) or by a VM? Nobody can ask a group, or
 * somebody of whom the link must be known; and a VM's own loopback is the VM. */
bool dns_server_possible(const struct address *server, bool dns_proxy);

const char *net_mode_name(enum net_mode mode); /* "shared", "host" */
int net_mode_parse(const char *text, enum net_mode *ret);

/* What a network is of which nothing but its name and mode is known: the defaults of a
 * definition file, and what is built in. The name must be valid. */
void net_def_default(const char *name, enum net_mode mode, struct net_def *ret);

/* Fills in the definition of a built-in network by name.
 * Returns 0; -EINVAL for a name that breaks NAME_RULES; -ENOENT when nobody
 * defines it. On error *ret is untouched. */
int net_def_find(const char *name, struct net_def *ret);
