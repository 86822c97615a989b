/* SPDX-License-Identifier: Apache-2.0 */
/* filter.c - see filter.h.
 *
 * Sets and a map, keyed by the port's name, carry all that differs from port to
 * port: opening a TAP adds an element to each in one batch (0.02 ms), and the
 * rules never change. The map sends a port's frames to the chain of its network,
 * which has the network's strictness and IPv6 prefix; what is not in the map falls
 * through to the drop, so a TAP is dead until its elements are there.
 *
 * A bridge's own port isolation keeps isolated ports apart from each other only; here
 * an isolated VM reaches the gateway and no other VM, so what is forwarded from or to
 * it is dropped. The gateway's own frames are not forwarded ones.
 *
 * Only iifname is used: bridge meta, reject and connection tracking in the bridge
 * family are modules that many kernels lack. The ports of our bridges are all the
 * guests', and frames of the gateway itself do not pass prerouting.
 */
#include "filter.h"

#include "mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TABLE "bridge vmnet"

DEFINE_AUTO(json_t *, json_decref);

int filter_init(struct nft *nft)
{
    return nft_run(nft, "add table " TABLE "\n"
                        "delete table " TABLE "\n"
                        "table " TABLE " {\n"
                        "  set macs { type ifname . ether_addr; }\n"
                        "  set ip4 { type ifname . ipv4_addr; }\n"
                        "  set drops { type ifname; size 4096; flags dynamic; counter; }\n"
                        "  map ports { type ifname : verdict; }\n"
                        "  set isolated { type ifname; }\n"
                        "  chain refuse { update @drops { iifname } drop; }\n"
                        "  chain prerouting {\n"
                        "    type filter hook prerouting priority -300; policy drop;\n"
                        "    iifname vmap @ports\n"
                        "    goto refuse\n"
                        "  }\n"
                        "  chain forward {\n"
                        "    type filter hook forward priority -300; policy accept;\n"
                        "    iifname @isolated drop\n"
                        "    oifname @isolated drop\n"
                        "  }\n"
                        "}\n");
}

/* Ether types first: a VLAN tag would hide everything behind it from the rest. An
 * ARP probe and a DHCP client speak from 0.0.0.0; duplicate address detection and
 * multicast reports from `::`. Addresses inside the /64 are not bound to a port, so
 * that privacy addresses work. A guest is no DHCP server and no router. */
static int add_strict(struct nft *nft, uint32_t index, const char *ipv6_sources)
{
    return nft_run(nft,
                   "table " TABLE " { chain n%u {\n"
                   "  ether type != { ip, arp, ip6 } goto refuse\n"
                   "  iifname . ether saddr != @macs goto refuse\n"
                   "  ether type arp iifname . arp saddr ether != @macs goto refuse\n"
                   "  ether type arp arp saddr ip 0.0.0.0 accept\n"
                   "  ether type arp iifname . arp saddr ip != @ip4 goto refuse\n"
                   "  ether type arp accept\n"
                   "  ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept\n"
                   "  ether type ip iifname . ip saddr != @ip4 goto refuse\n"
                   "  udp sport { 67, 547 } goto refuse\n"
                   "  icmp type redirect goto refuse\n"
                   "  ether type ip accept\n"
                   "  ip6 saddr != { %s } goto refuse\n"
                   "  icmpv6 type { nd-router-advert, nd-redirect } goto refuse\n"
                   "  accept\n"
                   "}\n}\n",
                   index, ipv6_sources);
}

static int add_mac_only(struct nft *nft, uint32_t index)
{
    return nft_run(nft,
                   "table " TABLE " { chain n%u {\n"
                   "  iifname . ether saddr != @macs goto refuse\n"
                   "  accept\n"
                   "}\n}\n",
                   index);
}

int filter_add_network(struct nft *nft, uint32_t index, const struct netd_network *net)
{
    char prefix[ADDR6_TEXT], sources[PREFIX6_TEXT + 32] = "::, fe80::/10";

    if (net->anti_spoofing == SPOOF_OFF)
        return nft_run(nft, "table " TABLE " { chain n%u { accept; }\n}\n", index);
    if (net->anti_spoofing == SPOOF_MAC)
        return add_mac_only(nft, index);
    if (net->ipv6_len > 0)
        (void)snprintf(sources, sizeof sources, "::, fe80::/10, %s/%u",
                       addr6_format(net->ipv6, prefix), net->ipv6_len);
    return add_strict(nft, index, sources);
}

int filter_remove_network(struct nft *nft, uint32_t index)
{
    /* Adding first makes the deletion succeed when it was never there. */
    return nft_run(nft, "add chain " TABLE " n%u\ndelete chain " TABLE " n%u\n", index, index);
}

/* The port's name, and what belongs to it, as the kernel concatenates them. */
static struct nft_element element(const char *set, const char *tap, const void *value, size_t len)
{
    struct nft_element e = { .set = set, .len = NETD_TAP_SIZE + (len + 3) / 4 * 4 };
    const uint8_t *bytes = value;
    int n;

    memcpy(e.key, tap, strnlen(tap, NETD_TAP_SIZE));
    if (len > 0)
        memcpy(e.key + NETD_TAP_SIZE, value, len);
    n = snprintf(e.text, sizeof e.text, "\"%.16s\"%s", tap,
                 len == 6  ? " . "
                 : len > 0 ? " . 0x"
                           : "");
    for (size_t i = 0; i < len; i++)
        n += snprintf(e.text + n, sizeof e.text - (size_t)n, "%s%02x", len == 6 && i > 0 ? ":" : "",
                      bytes[i]);
    return e;
}

static int change_port(struct nft *nft, bool add, uint32_t index, const struct netd_network *net,
                       const struct netd_interface *port)
{
    uint32_t ipv4 = htonl(port->ipv4);
    struct nft_element e[5];
    char chain[16];
    size_t n = 0;

    (void)snprintf(chain, sizeof chain, "n%u", index);
    e[n++] = element("macs", port->tap, port->mac, sizeof port->mac);
    if (port->ipv4)
        e[n++] = element("ip4", port->tap, &ipv4, sizeof ipv4);
    if (port->isolated || (net->flags & NETD_NET_ISOLATED))
        e[n++] = element("isolated", port->tap, NULL, 0);
    e[n++] = element("drops", port->tap, NULL, 0);
    e[n] = element("ports", port->tap, NULL, 0);
    e[n++].go_to = chain;
    return nft_change_elements(nft, add, "vmnet", e, n);
}

int filter_add_port(struct nft *nft, uint32_t index, const struct netd_network *net,
                    const struct netd_interface *port)
{
    return change_port(nft, true, index, net, port);
}

int filter_remove_port(struct nft *nft, uint32_t index, const struct netd_network *net,
                       const struct netd_interface *port)
{
    return change_port(nft, false, index, net, port);
}

/* {"elem": {"val": "vt0.1", "counter": {"packets": 0, "bytes": 0}}} */
static void report_element(const json_t *item, void (*each)(void *, const char *, uint64_t),
                           void *arg)
{
    const json_t *elem = json_object_get(item, "elem");
    const char *tap = json_string_value(json_object_get(elem, "val"));
    json_int_t packets =
        json_integer_value(json_object_get(json_object_get(elem, "counter"), "packets"));

    if (tap && packets >= 0)
        each(arg, tap, (uint64_t)packets);
}

int filter_drops(struct nft *nft, void (*each)(void *arg, const char *tap, uint64_t packets),
                 void *arg)
{
    AUTO_FREE char *text = NULL;
    AUTO(json_decref) json_t *root = NULL;
    json_t *item;
    size_t i, k;
    int r;

    r = nft_list(nft, "list set " TABLE " drops", &text);
    if (r < 0)
        return r;
    root = json_loads(text, 0, NULL);
    if (!root)
        return -EBADMSG;
    json_array_foreach (json_object_get(root, "nftables"), i, item) {
        const json_t *elements = json_object_get(json_object_get(item, "set"), "elem");
        json_t *element;

        json_array_foreach (elements, k, element)
            report_element(element, each, arg);
    }
    return 0;
}
