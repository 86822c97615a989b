/* SPDX-License-Identifier: Apache-2.0 */
/* forwarder_dial.c - a socket towards the VM that is, where it can be, the client.
 *
 * IP_TRANSPARENT lets a socket have an address that is not ours; what the VM answers to it
 * comes back to the socket by the mark and the route of transparent.c. Where the client's
 * address is of no use to the VM - the host's own loopback, another family, one on the VM's
 * own link, where it would look for a neighbour - the socket is the gateway's.
 *
 * The client's port is kept as well, but where somebody else has it already, or where it is
 * below 1024, which would take another capability.
 */
#include "forwarder_part.h"

#include "fd.h"
#include "mem.h"

#include <netinet/in.h>
#include <string.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage space;
};

static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

static bool is_mapped(const uint8_t addr[static 16])
{
    return memcmp(addr, mapped, sizeof mapped) == 0;
}

/* The client's address, IPv4 as ::ffff:192.0.2.1, whichever socket it came by. */
static void address_of(const union address *client, uint8_t ret[static 16])
{
    if (client->any.sa_family == AF_INET) {
        memcpy(ret, mapped, sizeof mapped);
        memcpy(ret + sizeof mapped, &client->v4.sin_addr, 4);
    } else {
        memcpy(ret, &client->v6.sin6_addr, 16);
    }
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

/* Loopback, link-local, multicast, none at all: nobody could answer it. */
static bool is_somewhere(const uint8_t addr[static 16])
{
    static const uint8_t none[16], loopback[16] = { [15] = 1 };
    const uint8_t *v4 = addr + sizeof mapped;

    if (is_mapped(addr))
        return v4[0] != 0 && v4[0] != 127 && v4[0] < 224 && !(v4[0] == 169 && v4[1] == 254);
    return memcmp(addr, none, 16) != 0 && memcmp(addr, loopback, 16) != 0 && addr[0] != 0xff &&
           !(addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80);
}

bool dial_keeps(const struct forwarder_order *order, const struct sockaddr_storage *client)
{
    union address from;
    uint8_t addr[16];

    from.space = *client;
    address_of(&from, addr);
    return order->transparent && is_mapped(addr) == is_mapped(order->target) &&
           is_somewhere(addr) && !same_bits(addr, order->target, order->prefix);
}

/* As socket address of the target's family. Returns its length. */
static socklen_t to_sockaddr(const uint8_t addr[static 16], uint16_t port, union address *ret)
{
    memset(ret, 0, sizeof *ret);
    if (is_mapped(addr)) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(port);
        memcpy(&ret->v4.sin_addr, addr + sizeof mapped, 4);
        return sizeof ret->v4;
    }
    ret->v6.sin6_family = AF_INET6;
    ret->v6.sin6_port = htons(port);
    memcpy(&ret->v6.sin6_addr, addr, 16);
    return sizeof ret->v6;
}

/* port 0: any that is free. TCP may share a port that another connection is about to leave;
 * of two datagram sockets with one address, one would hear the other's answers. */
static int take_address(int fd, int kind, const uint8_t addr[static 16], uint16_t port)
{
    bool v4 = is_mapped(addr);
    union address here;
    socklen_t len = to_sockaddr(addr, port, &here);
    int on = 1;

    if (setsockopt(fd, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on,
                   sizeof on) < 0 ||
        (kind == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) ||
        (port == 0 && setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0))
        return -errno;
    return bind(fd, &here.any, len) < 0 ? -errno : 0;
}

/* addr NULL: the gateway's. */
static int try(const struct forwarder_order *order, int kind, const uint8_t *addr, uint16_t port)
{
    union address there;
    socklen_t len = to_sockaddr(order->target, (uint16_t)order->port, &there);
    AUTO_FD fd = socket(there.any.sa_family, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r;

    if (fd < 0)
        return -errno;
    r = addr ? take_address(fd, kind, addr, port) : 0;
    if (r == 0 && connect(fd, &there.any, len) < 0 && errno != EINPROGRESS)
        r = -errno;
    return r < 0 ? r : fd_take(&fd);
}

int dial(const struct forwarder_order *order, int kind, const struct sockaddr_storage *client)
{
    union address from;
    uint8_t addr[16];
    uint16_t port;
    int fd;

    from.space = *client;
    if (!dial_keeps(order, client))
        return try(order, kind, NULL, 0);
    address_of(&from, addr);
    /* Both families have it in the same place. */
    port = ntohs(from.v4.sin_port);
    fd = try(order, kind, addr, port);
    if (fd == -EADDRINUSE || fd == -EADDRNOTAVAIL || fd == -EACCES)
        fd = try(order, kind, addr, 0);
    return fd;
}
