/* SPDX-License-Identifier: Apache-2.0 */
/* udp_who PORT - tells each datagram's sender, IPv4 or IPv6, whom we take it for.
 *
 * busybox has no server for UDP. Linked statically, since a guest has no libraries. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    struct sockaddr_in6 here = { .sin6_family = AF_INET6 }, client;
    char text[INET6_ADDRSTRLEN];
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);

    here.sin6_port = htons((in_port_t)(argc > 1 ? strtoul(argv[1], NULL, 10) : 0));
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) < 0) {
        perror("udp_who");
        return EXIT_FAILURE;
    }
    for (;;) {
        socklen_t len = sizeof client;
        if (recvfrom(fd, text, sizeof text, 0, (struct sockaddr *)&client, &len) < 0 ||
            !inet_ntop(AF_INET6, &client.sin6_addr, text, sizeof text))
            continue;
        (void)sendto(fd, text, strlen(text), 0, (struct sockaddr *)&client, len);
    }
}
