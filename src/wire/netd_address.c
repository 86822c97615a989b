/* SPDX-License-Identifier: Apache-2.0 */
/* netd_address.c - addresses of both families in one form, in netd's messages. */
#include "netd_msg.h"

#include <string.h>

static const uint8_t mapped[12] = { [10] = 0xff, 0xff }; /* ::ffff:0.0.0.0/96 */

void netd_address_put(const struct address *address, uint8_t ret[static 16])
{
    if (address->version == 6) {
        memcpy(ret, address->v6, 16);
        return;
    }
    memcpy(ret, mapped, sizeof mapped);
    for (unsigned i = 0; i < 4; i++)
        ret[12 + i] = (uint8_t)(address->v4 >> (24 - 8 * i));
}

struct address netd_address_get(const uint8_t from[static 16])
{
    struct address address = { .version = memcmp(from, mapped, sizeof mapped) == 0 ? 4 : 6 };

    if (address.version == 6)
        memcpy(address.v6, from, 16);
    for (unsigned i = 0; address.version == 4 && i < 4; i++)
        address.v4 = address.v4 << 8 | from[12 + i];
    return address;
}
