/* SPDX-License-Identifier: Apache-2.0 */
/* A netd that somebody has taken over: requests to the process on the host's side. Whatever
 * comes, the host gets no address but the last of a subnet that could be a network's, and no two
 * networks have an address in common. What is refused is refused with words.
 *
 * The input is a row of requests, each behind a byte that says how many words of four bytes it has;
 * the rest of it is zero. So seeds stay what they are when requests grow. That links are made is
 * pretended here. */
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
        MUST(net->ipv6_len == 0 || net->ipv6[0] >> 5 == 1 || net->ipv6[0] >> 1 == 0x7e);
        for (uint32_t k = 0; k < i; k++)
            MUST(!at[k].known || !subnet4_overlaps(subnet_of(net), subnet_of(&at[k].net)));
    }
}

/* They become names of files below /proc/sys, and words of rules. */
static void look_at_names(const struct link_names *names)
{
    MUST(names->n <= HOST_NAT_LINKS_MAX);
    for (uint32_t i = 0; i < names->n; i++) {
        const char *name = names->name[i];
        size_t len = strnlen(name, IFNAMSIZ);

        MUST(len > 0 && len < IFNAMSIZ && strcspn(name, "/\"\n\\") == len);
        MUST(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    }
}

static void act_on(const struct hostside_request *request, struct host_link at[static NETWORKS_MAX])
{
    switch (request->op) {
    case HOSTSIDE_JOIN:
        at[request->body.join.index] =
            (struct host_link){ .known = true, .ifindex = 1, .net = request->body.join };
        break;
    case HOSTSIDE_PART:
        at[request->body.part].known = false;
        break;
    case HOSTSIDE_NAT_PLAN:
    case HOSTSIDE_NAT_MAKE:
    case HOSTSIDE_NAT_END:
        look_at_names(&request->body.plan.on4);
        look_at_names(&request->body.plan.on6);
        break;
    default:
        break;
    }
}

static size_t at_most(size_t a, size_t b)
{
    return a < b ? a : b;
}

FUZZ(data, size)
{
    struct host_link *at = calloc(NETWORKS_MAX, sizeof *at);

    MUST(at);
    while (size > 0) {
        struct hostside_request request = { 0 };
        struct netd_why why = { 0 };
        size_t len = at_most(4 * (size_t)data[0], size - 1);

        memcpy(&request, data + 1, at_most(len, sizeof request));
        if (hostside_check(at, &request, &why) < 0)
            MUST(why.why[0]);
        else
            act_on(&request, at);
        look_at_all(at);
        data += 1 + len;
        size -= 1 + len;
    }
    free(at);
}
