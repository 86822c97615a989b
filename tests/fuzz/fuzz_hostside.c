/* SPDX-License-Identifier: Apache-2.0 */
/* A netd that somebody has taken over: requests to the process on the host's side. Whatever
 * comes, the host gets no address but the last of a subnet that could be a network's, and no two
 * networks have an address in common. What is refused is refused with words.
 *
 * The input is a row of requests. That links are made is pretended here. */
#include "fuzz.h"

#include "hostside_part.h"

#include <string.h>

static struct subnet4 subnet_of(const struct hostside_network *net)
{
    return (struct subnet4){ .base = net->ipv4_base, .prefix = net->ipv4_prefix };
}

static void look_at_all(const struct host_link at[static NETWORKS_MAX])
{
    for (uint32_t i = 0; i < NETWORKS_MAX; i++) {
        const struct hostside_network *net = &at[i].net;

        if (!at[i].known)
            continue;
        MUST(net->index == i && net->ipv4_prefix >= 8 && net->ipv4_prefix <= 30);
        MUST(net->ipv4_base >> 24 != 0 && net->ipv4_base >> 24 != 127 &&
             net->ipv4_base < 0xe0000000);
        MUST(subnet4_contains(subnet_of(net), subnet4_host(subnet_of(net))));
        MUST(net->ipv6_len == 0 || (net->ipv6[0] != 0xff && net->ipv6[0] != 0));
        for (uint32_t k = 0; k < i; k++)
            MUST(!at[k].known || !subnet4_overlaps(subnet_of(net), subnet_of(&at[k].net)));
    }
}

FUZZ(data, size)
{
    struct host_link *at = calloc(NETWORKS_MAX, sizeof *at);

    MUST(at);
    for (struct hostside_request request; size >= sizeof request;
         data += sizeof request, size -= sizeof request) {
        struct netd_why why = { 0 };

        memcpy(&request, data, sizeof request);
        if (hostside_check(at, &request, &why) < 0) {
            MUST(why.why[0]);
        } else if (request.op == HOSTSIDE_JOIN) {
            struct host_link *link = &at[request.body.join.index];

            *link = (struct host_link){ .known = true, .ifindex = 1, .net = request.body.join };
        } else if (request.op == HOSTSIDE_PART) {
            at[request.body.part].known = false;
        }
        look_at_all(at);
    }
    free(at);
}
