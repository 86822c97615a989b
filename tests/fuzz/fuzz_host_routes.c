/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink's answers about the host's routes and addresses. The kernel sends them; their
 * form is nevertheless checked and not believed, for it differs between kernels. */
#include "fuzz.h"

#include "host_routes.c" /* the readers of one message are static */

static void read_message(struct reading *reading, struct nlmsghdr *header)
{
    struct nl_msg *msg = nlmsg_convert(header);

    MUST(msg);
    (void)on_route(msg, reading);
    (void)on_address(msg, reading);
    nlmsg_free(msg);
}

FUZZ(data, size)
{
    struct taken_list list = { 0 };
    struct reading reading = { .list = &list };
    struct nlmsghdr *header, *packet = malloc(size + 1);
    int left = (int)size;

    MUST(packet);
    if (size > 0)
        memcpy(packet, data, size);
    for (header = packet; nlmsg_ok(header, left); header = nlmsg_next(header, &left))
        read_message(&reading, header);
    for (size_t i = 0; i < list.n; i++) {
        MUST(list.items[i].range.prefix >= 8 && list.items[i].range.prefix <= 32);
        MUST((list.items[i].range.base & ~subnet4_mask(list.items[i].range)) == 0);
    }
    taken_clear(&list);
    free(packet);
}
