/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink's news and answers about the host's default routes. */
#include "fuzz.h"

#include "host_default.c" /* the reader of one packet is static */

#include <string.h>

FUZZ(data, size)
{
    struct host_default hd = { .sock = -1, .port = 1, .seq = 1, .asking = true };
    struct nlmsghdr *packet = malloc(size + 1);

    MUST(packet);
    if (size > 0)
        memcpy(packet, data, size);
    unsigned news = take_packet(&hd, packet, (int64_t)size);
    MUST((news & ~(HOST_DEFAULT_CHANGED | HOST_DEFAULT_KNOWN)) == 0);
    MUST(!(hd.ipv4 && !(news & HOST_DEFAULT_KNOWN)));
    free(packet);
}
