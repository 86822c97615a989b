/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink's news and answers about the host's default routes. */
#include "fuzz.h"

#include "host_default.c" /* the reader of one packet is static */

#include <string.h>

static void read_packet(const uint8_t *data, size_t size, const char *interface)
{
    struct host_default hd = { .sock = -1, .port = 1, .seq = 1, .asking = true, .ifindex = 2 };
    struct nlmsghdr *packet = malloc(size + 1);

    (void)str_copy(hd.interface, sizeof hd.interface, interface);
    MUST(packet);
    if (size > 0)
        memcpy(packet, data, size);
    unsigned news = take_packet(&hd, packet, (int64_t)size);
    MUST((news & ~(HOST_DEFAULT_CHANGED | HOST_DEFAULT_KNOWN)) == 0);
    MUST(!(hd.ipv4 && !(news & HOST_DEFAULT_KNOWN)));
    free(packet);
}

FUZZ(data, size)
{
    read_packet(data, size, "");
    read_packet(data, size, "eth0");
}
