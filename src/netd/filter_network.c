/* SPDX-License-Identifier: Apache-2.0 */
/* filter_network.c - see filter.h: the chains of one network, its guests' and the host's.
 *
 * Whatever differs from network to network is written into a chain of its own, so that a frame
 * meets the rules of its network only.
 */
#include "filter_part.h"

#include "addr.h"
#include "bridge.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

#define ND_TARGET "@th,64,128"

/* What a strict chain must know of its network's IPv6. */
struct texts6 {
    char sources[PREFIX6_TEXT + 32];  /* what may be a source */
    char routers[4 * ADDR6_TEXT + 8]; /* addresses of gateway and host: no guest's */
    char targets[4 * 36 + 8];         /* the same, as raw payload is written */
};

static size_t raw_text(const uint8_t *bytes, size_t len, char *text)
{
    size_t n = (size_t)sprintf(text, "0x");

    for (size_t i = 0; i < len; i++)
        n += (size_t)sprintf(text + n, "%02x", bytes[i]);
    return n;
}

static void add_router(struct texts6 *t, const uint8_t addr[static 16])
{
    const char *comma = *t->routers ? ", " : "";
    size_t n = strlen(t->routers), m = strlen(t->targets);
    char text[ADDR6_TEXT];

    (void)snprintf(t->routers + n, sizeof t->routers - n, "%s%s", comma, addr6_format(addr, text));
    m += (size_t)sprintf(t->targets + m, "%s", comma);
    (void)raw_text(addr, 16, t->targets + m);
}

static void describe(const struct netd_network *net, bool host, struct texts6 *t)
{
    struct prefix6 prefix = { .len = net->ipv6_len };
    char text[ADDR6_TEXT];
    uint8_t addr[16];

    *t = (struct texts6){ .sources = "fe80::/10" };
    memcpy(prefix.addr, net->ipv6, sizeof prefix.addr);
    mac_link_local(bridge_mac(net), addr);
    add_router(t, addr);
    mac_link_local(host_mac(net->ipv4_base), addr);
    if (host)
        add_router(t, addr);
    if (net->ipv6_len == 0)
        return;
    (void)snprintf(t->sources, sizeof t->sources, "fe80::/10, %s/%u", addr6_format(net->ipv6, text),
                   net->ipv6_len);
    prefix6_gateway(&prefix, addr);
    add_router(t, addr);
    prefix6_host(&prefix, addr);
    if (host)
        add_router(t, addr);
}

/* Ether types first: a VLAN tag would hide everything behind it from the rest. IPv6
 * addresses inside the /64 are not bound to a port, so that privacy addresses work;
 * the gateway's and the host's are nobody else's. An address that has been let through once need
 * not be looked at again. */
static int add_strict(struct nft *nft, uint32_t index, const struct netd_network *net, bool host)
{
    struct texts6 t;

    describe(net, host, &t);
    return nft_run(nft,
                   "table " TABLE " { chain n%u {\n"
                   "  ether type != { ip, arp, ip6 } goto refuse\n"
                   "  " FRAME_SENDER " != @macs goto refuse\n"
                   "  meta pkttype { broadcast, multicast } jump flood\n"
                   "  ether type vmap { ip : goto guest_ip4, arp : goto guest_arp }\n"
                   "  icmpv6 type nd-neighbor-advert " ND_TARGET " { %s } goto refuse\n"
                   "  iifname . ip6 saddr @sources6 goto guest_ip6\n"
                   "  ip6 saddr :: goto nameless6\n"
                   "  ip6 saddr { %s } goto refuse\n"
                   "  ip6 saddr != { %s } goto refuse\n"
                   "  jump newcomer\n"
                   "  goto guest_ip6\n"
                   "}\n}\n",
                   index, t.targets, t.routers, t.sources);
}

/* Nested guests have MACs that we do not know, and the bridge has to learn. */
static int add_lenient(struct nft *nft, uint32_t index, enum anti_spoofing how)
{
    return nft_run(nft,
                   "table " TABLE " { chain n%u {\n"
                   "  %s\n"
                   "  meta pkttype { broadcast, multicast } jump flood\n"
                   "  accept\n"
                   "}\n}\n",
                   index, how == SPOOF_MAC ? FRAME_SENDER " != @macs goto refuse" : "");
}

/* What the host may send: as strict as the strictest network, and for both families from the
 * addresses that it has there. */
static int add_host_chain(struct nft *nft, uint32_t index, const struct netd_network *net)
{
    struct prefix6 prefix = { .len = net->ipv6_len };
    char local_text[ADDR6_TEXT], text[ADDR6_TEXT] = "";
    uint8_t local[16], global[16];

    mac_link_local(host_mac(net->ipv4_base), local);
    memcpy(prefix.addr, net->ipv6, sizeof prefix.addr);
    prefix6_host(&prefix, global);
    if (net->ipv6_len > 0)
        (void)addr6_format(global, text);
    return nft_run(nft,
                   "table " TABLE " { chain h%u {\n"
                   "  ether type != { ip, arp, ip6 } goto refuse\n"
                   "  " FRAME_SENDER " != @macs goto refuse\n"
                   "  ether type vmap { ip : goto guest_ip4, arp : goto guest_arp }\n"
                   "  ip6 saddr :: goto nameless6\n"
                   "  ip6 saddr != { %s%s%s } goto refuse\n"
                   "  goto guest_ip6\n"
                   "}\n}\n",
                   index, addr6_format(local, local_text), *text ? ", " : "", text);
}

/* Adding first makes the deletion succeed when it was never there. */
static int change_host_element(struct nft *nft, bool add, const char *set, const char *element)
{
    return add ? nft_run(nft, "add element " TABLE " %s { %s }\n", set, element)
               : nft_run(nft,
                         "add element " TABLE " %s { %s }\ndelete element " TABLE " %s { %s }\n",
                         set, element, set, element);
}

static int change_host(struct nft *nft, bool add, uint32_t index, const struct netd_network *net)
{
    const struct subnet4 subnet = { .base = net->ipv4_base, .prefix = net->ipv4_prefix };
    const struct mac mac = host_mac(net->ipv4_base);
    char port[16], raw[16], text[ADDR4_TEXT];
    char elements[5][64];
    static const char *const sets[] = { "macs", "ip4", "plain", "drops", "ports" };
    int r = 0;

    (void)snprintf(port, sizeof port, HOST_PORT "%u", index);
    (void)raw_text(mac.b, sizeof mac.b, raw);
    (void)snprintf(elements[0], sizeof *elements, "\"%s\" . %s", port, raw);
    (void)snprintf(elements[1], sizeof *elements, "\"%s\" . %s", port,
                   addr4_format(subnet4_host(subnet), text));
    (void)snprintf(elements[2], sizeof *elements, "\"%s\" . %s" PLAIN_TYPE " . 0x%08x", port, raw,
                   subnet4_host(subnet));
    (void)snprintf(elements[3], sizeof *elements, "\"%s\"", port);
    (void)snprintf(elements[4], sizeof *elements, "\"%s\" : goto h%u", port, index);
    for (size_t i = 0; r == 0 && i < N_ELEMENTS(sets); i++)
        r = change_host_element(nft, add, sets[i], elements[i]);
    return r;
}

static int add_host(struct nft *nft, uint32_t index, const struct netd_network *net)
{
    int r = add_host_chain(nft, index, net);

    /* A DHCP server of the host's that listens everywhere must not answer here. */
    if (r == 0)
        r = filter_add_forward_chain(nft, "to_host",
                                     "oifname " HOST_PORTS " udp dport { 67, 547 } drop");
    return r < 0 ? r : change_host(nft, true, index, net);
}

static int remove_host(struct nft *nft, uint32_t index, const struct netd_network *net)
{
    int r = nft_run(nft, "add chain " TABLE " h%u\n", index);

    if (r == 0)
        r = change_host(nft, false, index, net);
    return r < 0 ? r : nft_run(nft, "delete chain " TABLE " h%u\n", index);
}

int filter_add_network(struct nft *nft, uint32_t index, const struct netd_network *net, bool host)
{
    int r;

    if (net->anti_spoofing == SPOOF_STRICT)
        r = add_strict(nft, index, net, host);
    else
        r = add_lenient(nft, index, net->anti_spoofing);
    return r == 0 && host ? add_host(nft, index, net) : r;
}

int filter_remove_network(struct nft *nft, uint32_t index, const struct netd_network *net,
                          bool host)
{
    int r = host ? remove_host(nft, index, net) : 0;

    if (r < 0)
        return r;
    /* Adding first makes the deletion succeed when it was never there. What the next
     * network of this index lets through is not what this one did. */
    return nft_run(nft,
                   "flush set " TABLE " sources6\n"
                   "add chain " TABLE " n%u\ndelete chain " TABLE " n%u\n",
                   index, index);
}

int filter_forget_host_drops(struct nft *nft, uint32_t index)
{
    char element[32];

    (void)snprintf(element, sizeof element, "\"" HOST_PORT "%u\"", index);
    return change_host_element(nft, false, "drops", element);
}
