/* SPDX-License-Identifier: Apache-2.0 */
/* host_port.c - a port of the host, opened for the forwarder by the spawner, who is outside. */
#include "workshop.h"

#include "fd.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

/* How many may wait to be accepted; the kernel has a limit of its own. */
#define BACKLOG 4096

static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

static int set(int fd, int level, int name)
{
    int on = 1;

    return setsockopt(fd, level, name, &on, sizeof on) < 0 ? -errno : 0;
}

static int bind4(int fd, const struct host_port *port)
{
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(port->port) };

    memcpy(&here.sin_addr, port->addr + sizeof mapped, sizeof here.sin_addr);
    return bind(fd, (struct sockaddr *)&here, sizeof here) < 0 ? -errno : 0;
}

static int bind6(int fd, const struct host_port *port)
{
    struct sockaddr_in6 here = { .sin6_family = AF_INET6, .sin6_port = htons(port->port) };
    int r = set(fd, SOL_IPV6, IPV6_V6ONLY); /* IPv4 has a socket of its own */

    memcpy(&here.sin6_addr, port->addr, sizeof here.sin6_addr);
    if (r == 0 && bind(fd, (struct sockaddr *)&here, sizeof here) < 0)
        r = -errno;
    return r;
}

int host_port_open(const struct host_port *port)
{
    bool v4 = memcmp(port->addr, mapped, sizeof mapped) == 0;
    AUTO_FD fd = socket(v4 ? AF_INET : AF_INET6,
                        (port->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r;

    if (fd < 0)
        return -errno;
    if (!port->udp) /* although connections of the last one may linger */
        r = set(fd, SOL_SOCKET, SO_REUSEADDR);
    else /* before the first datagram can come */
        r = v4 ? set(fd, SOL_IP, IP_PKTINFO) : set(fd, SOL_IPV6, IPV6_RECVPKTINFO);
    if (r == 0)
        r = v4 ? bind4(fd, port) : bind6(fd, port);
    if (r == 0 && !port->udp && listen(fd, BACKLOG) < 0)
        r = -errno;
    return r < 0 ? r : fd_take(&fd);
}
