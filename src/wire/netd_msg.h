/* SPDX-License-Identifier: Apache-2.0 */
/* netd_msg.h - everything the broker and its privileged helper say to each other.
 *
 * Fixed C structures over a Unix SOCK_SEQPACKET socket: one packet a message, no
 * parser in the privileged process, and a length that either matches the
 * operation exactly or ends the session. Both ends are always on one machine,
 * so byte order and padding are the machine's; the version in every header
 * refuses a partner of another build (-EPROTONOSUPPORT), which keeps a new broker
 * from misreading an old netd. netd says so with a header of its own version and
 * netd_why: these two are the same in every version, and so is HELLO's number.
 * Versions only grow: a broker that meets an older netd is an upgrade's.
 *
 * Every request is answered by one reply with the request's id, or by several
 * where the operation lists things: all but the last carry NETD_MORE. Messages
 * with id 0 are events, sent by netd unasked.
 *
 * Strings are printable ASCII, NUL-ended in fixed arrays, and zero behind the NUL. IPv4 is in host
 * byte order (model/addr.h). All padding is named and zero. netd_msg_check()
 * verifies these rules for every message, in both directions.
 */
#pragma once
#include "net_def.h"

#include <stddef.h>
#include <stdint.h>

#define NETD_MAGIC 0x76626e64u /* "vbnd" */
#ifndef NETD_VERSION           /* tests build another one */
#define NETD_VERSION 4u
#endif
#define NETD_MORE 1u /* flags of a reply: another one with this id follows */

#define NETD_ID_SIZE     64  /* interface_id, network id: printable, NUL-ended */
#define NETD_TAP_SIZE    16  /* IFNAMSIZ */
#define NETD_WHY_SIZE    200 /* a sentence for the user */
#define NETD_DOMAIN_SIZE 256 /* more than any DNS name */
#define NETD_QUEUES_MAX  16u

#define NETD_DNS_SERVERS_MAX  4u    /* of a network */
#define NETD_RESERVATIONS     16u   /* in one message */
#define NETD_RESERVATIONS_MAX 1024u /* of a network */

/* Links of a system instance's netd in the host begin so. */
#define NETD_HOST_LINKS "vmb"

enum netd_op {
    /* Requests, in the order in which a session makes them (netd/ops.c has the
     * phases). "->" is the body of the reply. */
    NETD_HELLO = 1,      /* netd_hello -> netd_welcome                             */
    NETD_INVENTORY,      /* nothing -> netd_network, netd_interface, netd_forward and
                          * netd_stranded, NETD_MORE, ended by a reply without a body */
    NETD_READY,          /* nothing -> nothing: the inventory is understood        */
    NETD_BUILD,          /* netd_network -> nothing                                */
    NETD_REMOVE,         /* netd_name (network) -> nothing                         */
    NETD_OPEN_TAP,       /* netd_interface -> netd_interface with .tap, and
                          * netd_interface_fds() descriptors                       */
    NETD_STATS,          /* nothing -> netd_stats each, NETD_MORE, ended by a reply
                          * without a body                                         */
    NETD_LEAVE,          /* nothing -> nothing: remove all and exit; -EBUSY while a
                          * TAP is in use                                          */
    NETD_UPDATE,         /* netd_update -> nothing: what may change while VMs run  */
    NETD_ADD_FORWARD,    /* netd_forward -> nothing; -EADDRINUSE: somebody listens there */
    NETD_REMOVE_FORWARD, /* netd_forward -> nothing                           */
    /* Events */
    NETD_TAP_GONE = 100, /* netd_interface: nobody has it open any more         */
    NETD_NETWORK_LOST,   /* netd_lost                                           */
    NETD_UPLINK,         /* netd_uplink: the state of the way out changed       */
    NETD_ANCHOR,         /* netd_anchor: another process holds the namespaces   */
    NETD_LEASE,          /* netd_lease: given out, renewed or over; after READY
                          * those that there are                                */
    NETD_FORWARD,        /* netd_forward: netd listens for it again, or cannot  */
    NETD_STRANDED,       /* netd_stranded with holder 0: that one is over       */
};

struct netd_header {
    uint32_t magic;
    uint16_t version;
    uint16_t op;
    uint32_t id;
    uint32_t flags;
    int32_t err; /* replies: 0 or a negative errno; a reply with err has body netd_why */
    uint32_t zero;
};

struct netd_hello {
    uint32_t idle_timeout_sec; /* how long netd outlives its last user and broker */
    uint32_t zero;
};

struct netd_welcome {
    int32_t netd_pid;
    int32_t anchor_pid;               /* holds the namespaces open */
    char uplink_engine[16];           /* "none", "pasta", "slirp4netns" */
    char uplink_state[NETD_WHY_SIZE]; /* as in netd_uplink */
};

enum netd_network_flag {
    NETD_NET_NAT44 = 1 << 0,
    NETD_NET_NAT66 = 1 << 1,
    NETD_NET_DHCP = 1 << 2,
    NETD_NET_DNS = 1 << 3, /* forward what is not ours to the host's resolver */
    NETD_NET_RA = 1 << 4,
    NETD_NET_ISOLATED = 1 << 5,
    NETD_NET_FLAGS = (1 << 6) - 1,
};

struct netd_network {
    char name[NAME_SIZE];
    char id[NETD_ID_SIZE];  /* the broker's UUID for this life of the network */
    uint32_t mode;          /* enum net_mode */
    uint32_t anti_spoofing; /* enum anti_spoofing */
    uint32_t flags;         /* enum netd_network_flag */
    uint32_t mtu;
    uint32_t ipv4_base; /* host order */
    uint32_t ipv4_prefix;
    uint8_t ipv6[16];
    uint32_t ipv6_len; /* 0: no IPv6, else 64 */
    uint32_t idle_timeout_sec;
    uint32_t uplink; /* enum uplink_kind */
    uint32_t n_dns_servers;
    /* As in net_def, whose words on them count; netd_address_get(). */
    uint8_t dns_servers[NETD_DNS_SERVERS_MAX][16];
    char external_interface[NETD_TAP_SIZE]; /* "": by the host's routes */
    char domain[NETD_DOMAIN_SIZE];          /* "": only NETWORK.vmnet.internal */
};

struct netd_interface {
    char network[NAME_SIZE];
    char id[NETD_ID_SIZE];   /* unique among live interfaces of the network */
    char name[NAME_SIZE];    /* "": no DNS name */
    char tap[NETD_TAP_SIZE]; /* chosen by netd; "" in the request */
    uint32_t uid;
    uint32_t ipv4; /* host order; 0: none */
    uint8_t mac[6];
    uint8_t offload, isolated; /* 0 or 1 */
    uint32_t queues;           /* 1 to NETD_QUEUES_MAX */
    uint8_t by_name, zero[3];  /* by_name, 0 or 1: its VM opens it itself, in the namespace */
};

/* How many descriptors go with it: one a queue, or the one that stands for its name: the TAP stays
 * while any process has that open, or the TAP itself. */
static inline unsigned netd_interface_fds(const struct netd_interface *interface)
{
    return interface->by_name ? 1 : interface->queues;
}

/* Whoever has this MAC gets this address, be it a TAP of ours or a guest behind one. */
struct netd_reservation {
    char name[NAME_SIZE]; /* "": no DNS name */
    uint32_t ipv4;
    uint8_t mac[6];
    uint8_t zero[2];
};

/* The network's reservations from `first` on; with the last of the `total` they take the
 * place of those that were, all at once. An empty list is one message with total 0. */
struct netd_update {
    char network[NAME_SIZE];
    uint32_t idle_timeout_sec;
    uint32_t total, first, count;
    struct netd_reservation reservations[NETD_RESERVATIONS]; /* zero behind `count` */
};

enum netd_protocol { NETD_TCP, NETD_UDP };
enum netd_family { NETD_IPV4 = 1, NETD_IPV6 = 2 };
enum netd_forward_flag {
    NETD_FORWARD_DEFINED = 1 << 0, /* by the network's definition, not by a client */
    NETD_FORWARD_LIVE = 1 << 1,    /* in lists: somebody listens for it            */
};

/* What reaches a port of the host goes to a VM. No two have the same protocol, listen,
 * external_port and a family in common. */
struct netd_forward {
    char network[NAME_SIZE];
    char interface[NETD_ID_SIZE]; /* with whose TAP it ends; "": with the network */
    uint32_t uid;                 /* who asked for it */
    uint32_t flags;               /* enum netd_forward_flag */
    uint32_t protocol;            /* enum netd_protocol */
    uint32_t families;            /* of its clients: enum netd_family */
    uint32_t external_port, internal_port;
    /* Of the host and of the VM; IPv4 as ::ffff:192.0.2.1. listen all zero: any of the host. */
    uint8_t listen[16], target[16];
};

/* Of a TAP; or, with tap "" and without counters, of the network itself. */
struct netd_stats {
    char network[NAME_SIZE];
    char tap[NETD_TAP_SIZE];
    uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets; /* the VM's point of view */
    uint64_t dropped;                                    /* by the frame filter */
    uint64_t denied_questions, denied_flows;             /* packets: the VM had used up its share */
    uint32_t host; /* of a network: the host is on it, in which families: enum netd_family */
    uint32_t zero;
};

struct netd_name {
    char network[NAME_SIZE];
};

struct netd_why {
    char why[NETD_WHY_SIZE];
};

struct netd_lost {
    char network[NAME_SIZE];
    char why[NETD_WHY_SIZE];
};

/* Of one network, where each may have another; else of all that leave by this interface. */
struct netd_uplink {
    char network[NAME_SIZE];       /* "": of all */
    char interface[NETD_TAP_SIZE]; /* of the host's; "": by its routes */
    char engine[16];
    char state[NETD_WHY_SIZE]; /* "checking", "ok", "failed: why" */
    char note[NETD_WHY_SIZE];  /* what would be better; "": nothing */
};

struct netd_anchor {
    int32_t pid;
    uint32_t zero;
};

struct netd_lease {
    char network[NAME_SIZE];
    uint32_t ipv4; /* host order */
    uint8_t mac[6];
    uint8_t over, zero; /* over: it holds no longer */
    uint64_t expires;   /* seconds since 1970; 0: never */
};

/* A network whose namespace nobody can enter any more, and that some VM is still on. Its
 * addresses are not to be used elsewhere until then. */
struct netd_stranded {
    char network[NAME_SIZE];
    uint32_t ipv4_base, ipv4_prefix;
    uint8_t ipv6[16];
    uint32_t ipv6_len;
    int32_t holder; /* a process with such a VM */
};

struct netd_msg {
    struct netd_header header;
    union {
        struct netd_hello hello;
        struct netd_welcome welcome;
        struct netd_network network;
        struct netd_interface interface;
        struct netd_update update;
        struct netd_stats stats;
        struct netd_name name;
        struct netd_why why;
        struct netd_lost lost;
        struct netd_uplink uplink;
        struct netd_anchor anchor;
        struct netd_lease lease;
        struct netd_forward forward;
        struct netd_stranded stranded;
    } body;
};

/* An address of either family, as it stands in a message: IPv4 as ::ffff:192.0.2.1. */
void netd_address_put(const struct address *address, uint8_t ret[static 16]);
struct address netd_address_get(const uint8_t from[static 16]);

/* Bytes of the body that `op` has as a request. -EOPNOTSUPP for an op that is no request. */
int netd_request_size(uint16_t op);

enum netd_direction { NETD_TO_HELPER, NETD_TO_BROKER };

/* Is this packet of `len` bytes well-formed? Magic, version, length, strings,
 * enum ranges, addresses, zero padding. 0, -EPROTONOSUPPORT (other version) or
 * -EPROTO. Pure: it touches nothing but the packet. */
int netd_msg_check(const struct netd_msg *msg, size_t len, enum netd_direction direction);

/* One packet with its descriptors over a SEQPACKET socket. Send: never blocks
 * (-EAGAIN) nor raises SIGPIPE; fds stay the caller's. Receive: 0 bytes means the
 * partner closed; fds are close-on-exec, the caller's, and *n_fds is in: room, out:
 * count; a packet with more descriptors than room gives -EPROTO with all closed. */
int netd_msg_send(int sock, const struct netd_msg *msg, size_t body_len, const int *fds,
                  size_t n_fds);
int netd_msg_recv(int sock, struct netd_msg *msg, size_t *len, int *fds, size_t *n_fds);
