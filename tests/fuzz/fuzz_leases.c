/* SPDX-License-Identifier: Apache-2.0 */
/* dnsmasq's lease file, in which names and identifiers are the guests'. */
#include "dnsmasq.h"
#include "fuzz.h"

FUZZ(data, size)
{
    static const struct netd_network net = { .name = "shared" };
    static const struct mac own = { { 0x52, 0x54, 0, 0x12, 0x34, 0x56 } };
    const struct dnsmasq_setup setup = { .net = &net, .dirfd = -1 };
    struct dnsmasq *dnsmasq = NULL;
    struct mac holder;

    fuzz_set_file(data, size);
    MUST(dnsmasq_new(&setup, &dnsmasq) == 0);
    if (dnsmasq_leased_to(dnsmasq, 0xc0a84002, own, &holder))
        MUST(!mac_equal(holder, own));
    dnsmasq_free(dnsmasq);
}
