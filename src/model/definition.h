/* SPDX-License-Identifier: Apache-2.0 */
/* definition.h - a network's definition: how it is to be, and who may use it.
 *
 * Made from the text of a file NAME.json, or built in. Immutable once made, and counted:
 * whoever keeps a pointer has a reference, so that a network can live on with the
 * definition it was made by while a newer one is read.
 *
 * There are two kinds of keys. Some can be applied to a network that exists: the lists beside
 * `net`, the description, and how long the network stays (redefine.h). A change of any other is
 * pending until the network is created again. vmnet-broker.d(5) describes every key for users.
 */
#pragma once
#include "accounts.h"
#include "complaints.h"
#include "net_def.h"
#include "subnet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A definition larger than any that makes sense is refused unread. */
#define DEFINITION_FILE_MAX    (256u << 10)
#define DESCRIPTION_MAX        255u /* bytes */
#define RESERVATIONS_MAX       1024u
#define FORWARDS_MAX           1024u
#define ALLOWED_MAX            64u /* users, and groups */
#define DEFINITION_IDLE_MAX    (7u * 24 * 3600)
#define SUBNET_PREFIX_SHORTEST 8
#define SUBNET_PREFIX_LONGEST  29 /* gateway, host and four VMs */
#define PREFIX6_LENGTH         64 /* the one that SLAAC works with */

/* In the order of the manual page, which is that of complaints about the whole file. */
enum definition_key {
    KEY_DESCRIPTION,
    KEY_MODE,
    KEY_SUBNET,
    KEY_MASK,
    KEY_IPV6_PREFIX,
    KEY_IPV6_PREFIX_LENGTH,
    KEY_EXTERNAL_INTERFACE,
    KEY_NAT44,
    KEY_NAT66,
    KEY_DHCP,
    KEY_DNS_PROXY,
    KEY_DNS_SERVERS,
    KEY_DOMAIN,
    KEY_ROUTER_ADVERTISEMENT,
    KEY_MTU,
    KEY_DHCP_RESERVATIONS,
    KEY_PORT_FORWARDING,
    KEY_ALLOW,
    KEY_UPLINK,
    KEY_ANTI_SPOOFING,
    KEY_ISOLATION,
    KEY_IDLE_TIMEOUT,
    KEY_PERSISTENT,
    DEFINITION_KEYS
};

/* "subnet"; static. */
const char *definition_key_name(enum definition_key key);

/* A set of keys: 1u << KEY_MODE | ... */
typedef uint32_t definition_keys;

/* This VM always has this address, and this name if one is given. All of a definition are
 * in its subnet, which is then fixed, on none of the network's own addresses, and differ
 * from each other in each field. */
struct reservation {
    struct mac mac;
    uint32_t ipv4;
    char name[NAME_SIZE]; /* "": none */
};

enum forward_protocol { FORWARD_TCP, FORWARD_UDP };

/* What reaches external_port of the host goes to this port of a VM. The address is in the
 * definition's subnet or IPv6 prefix, which is then fixed. No two of a definition have the
 * same protocol, external port and IP version. */
struct forward {
    enum forward_protocol protocol;
    uint16_t external_port, internal_port;
    struct address address;
};

/* Who may use the network, by name, or by number in decimal. */
struct allow {
    bool given; /* false: whoever may use the daemon */
    char (*users)[ACCOUNT_NAME_SIZE];
    char (*groups)[ACCOUNT_NAME_SIZE];
    size_t n_users, n_groups;
};

/* Which file it was, and in which state: equal stamps mean the same text. */
struct file_stamp {
    uint64_t dev, ino, size;
    int64_t mtime_sec, mtime_nsec, ctime_sec, ctime_nsec;
};

/* Read-only for everybody but definition*.c. */
struct definition {
    struct net_def net;
    char *description; /* NULL: none */
    char *file;        /* as it was opened; NULL: built in */
    struct file_stamp stamp;
    struct reservation *reservations; /* in the order of the file */
    size_t n_reservations;
    struct forward *forwards;
    size_t n_forwards;
    struct allow allow;
    definition_keys given;                   /* keys that the file has */
    struct position key_at[DEFINITION_KEYS]; /* their values' places there */
    unsigned references;
};

/* Another reference; returns its argument. */
struct definition *definition_ref(struct definition *definition);
/* NULL is fine; returns NULL. */
struct definition *definition_unref(struct definition *definition);

/* A built-in network, `shared` or `host`. -ENOENT, -EINVAL (the name), -ENOMEM; on error
 * *ret is untouched. */
int definition_builtin(const char *name, struct definition **ret);

/* A network of which only its plain values are known, as one that was found when the broker
 * started: without lists, file or description. 0 or -ENOMEM. */
int definition_from_net(const struct net_def *net, struct definition **ret);

/* Reads a definition. All that is wrong with it is added to out, not only the first thing,
 * in the order of the text. What depends on the world (definition_check_overlap()) or on the
 * system (an option that macOS lacks) is not looked at.
 *
 * name  of the network, valid
 * file  kept for messages; copied
 *
 * 0, and *ret is the caller's reference; -EBADMSG: the text is no valid definition and out
 * says why; -ENOMEM. On error *ret is untouched. */
int definition_parse(const char *name, const char *file, const char *text, size_t len,
                     struct definition **ret, struct complaints *out);

/* The same for the file that says who may use networks whose definitions do not: of its definition
 * only `allow` is given. */
int policy_parse(const char *name, const char *file, const char *text, size_t len,
                 struct definition **ret, struct complaints *out);

/* The keys whose meanings differ, however they are written: a default that is written out
 * is no change. */
definition_keys definition_differs(const struct definition *a, const struct definition *b);

/* The names of keys, "nat44, mtu", as many as fit whole. Returns ret. */
const char *definition_keys_format(definition_keys keys, char *ret, size_t size);

/* Complains when the subnet lies in the range of somebody else: the host's routes, live
 * networks, other definitions, as the caller collected them. 0 or -EADDRINUSE. */
int definition_check_overlap(const struct definition *definition, const struct taken_list *taken,
                             struct complaints *out);
/* The same for the IPv6 prefix and one other. owner: "network 'lab'" */
int definition_check_prefix(const struct definition *definition, const struct prefix6 *taken,
                            const char *owner, struct complaints *out);
/* Complains when both forward the same port of the host. 0 or -EADDRINUSE. */
int definition_check_forwards(const struct definition *definition, const struct definition *other,
                              struct complaints *out);
