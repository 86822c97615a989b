/* SPDX-License-Identifier: Apache-2.0 */
/* One packet between broker and helper: what the check lets pass has ended strings, and
 * says the same when it is checked again as what it was taken for. */
#include "fuzz.h"
#include "netd_msg.h"

#include <string.h>

#define ENDED(text) MUST(memchr(text, '\0', sizeof(text)))

static void check_request(const struct netd_msg *msg, size_t len)
{
    const struct netd_interface *itf = &msg->body.interface;

    MUST(netd_request_size(msg->header.op) == (int)(len - sizeof msg->header));
    switch (msg->header.op) {
    case NETD_BUILD:
        MUST(name_valid(msg->body.network.name));
        ENDED(msg->body.network.id);
        ENDED(msg->body.network.domain);
        ENDED(msg->body.network.external_interface);
        MUST(msg->body.network.n_dns_servers <= NETD_DNS_SERVERS_MAX);
        MUST(msg->body.network.mtu >= MTU_MIN && msg->body.network.mtu <= MTU_MAX);
        break;
    case NETD_UPDATE:
        MUST(msg->body.update.count <= NETD_RESERVATIONS);
        for (uint32_t i = 0; i < msg->body.update.count; i++)
            ENDED(msg->body.update.reservations[i].name);
        break;
    case NETD_REMOVE:
        MUST(name_valid(msg->body.name.network));
        break;
    case NETD_OPEN_TAP:
        MUST(name_valid(itf->network) && (!itf->name[0] || name_valid(itf->name)));
        ENDED(itf->id);
        MUST(itf->tap[0] == '\0' && itf->queues >= 1 && itf->queues <= NETD_QUEUES_MAX);
        MUST(itf->offload <= 1 && itf->isolated <= 1);
        break;
    default:
        break;
    }
}

static void check_answer(const struct netd_msg *msg, size_t len)
{
    if (len == sizeof msg->header)
        return;
    if (msg->header.err < 0) {
        ENDED(msg->body.why.why);
    } else if (msg->header.op == NETD_OPEN_TAP || msg->header.op == NETD_TAP_GONE) {
        ENDED(msg->body.interface.tap);
        MUST(msg->body.interface.tap[0] && !strpbrk(msg->body.interface.tap, "/: "));
    } else if (msg->header.op == NETD_UPLINK) {
        ENDED(msg->body.uplink.engine);
        ENDED(msg->body.uplink.state);
    }
}

FUZZ(data, size)
{
    struct netd_msg msg = { 0 };
    size_t len = size < sizeof msg ? size : sizeof msg;

    if (len > 0)
        memcpy(&msg, data, len);
    if (netd_msg_check(&msg, len, NETD_TO_HELPER) == 0)
        check_request(&msg, len);
    if (netd_msg_check(&msg, len, NETD_TO_BROKER) == 0)
        check_answer(&msg, len);
}
