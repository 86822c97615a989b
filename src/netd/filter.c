/* SPDX-License-Identifier: Apache-2.0 */
/* filter.c - see filter.h.
 *
 * Sets and a map, keyed by the port's name, carry all that differs from port to
 * port: opening a TAP adds an element to each in one batch (0.02 ms), and the
 * rules never change. The map sends a port's frames to the chain of its network,
 * which has the network's strictness and IPv6 addresses; what is not in the map falls
 * through to the drop, so a TAP is dead until its elements are there. What a frame
 * costs depends on neither networks nor ports.
 *
 *   macs      port . MAC: of the frame, of the ARP sender, of the DHCP client
 *   ip4       port . its IPv4 address
 *   plain     port . MAC . IPv4 . address, of strict networks: all that TCP needs
 *   floods    how many frames a port may have copied to everybody
 *   sources6, newcomers   IPv6 addresses that a port has used, and how fast it may
 *             begin to use more
 *   drops     frames refused, by port
 *   isolated  ports that reach the gateway and the host only
 *
 * The ports by which the host is on its networks (system instance) have chains of their own,
 * too: the host sends from its own addresses there, and from no other that it has.
 *
 * Where a rule looks into a packet it does so to accept: nftables passes over a rule
 * whose field the packet is too short for, and what is passed over must not end in an
 * accept. Fragments are told apart first: in all but the first, nftables takes data for
 * a header.
 *
 * A bridge's own port isolation keeps isolated ports apart from each other only; here
 * an isolated VM reaches the gateway and no other VM, so what is forwarded from or to
 * it is dropped. The gateway's own frames are not forwarded ones, and the host's are let
 * through. The chain that asks for this is there as long as an isolated port is.
 *
 * Only iifname and iifgroup are used: bridge meta, reject and connection tracking in
 * the bridge family are modules that many kernels lack. The ports of our bridges are
 * all the guests' and the host's, and frames of the gateway itself do not pass prerouting.
 */
#include "filter_part.h"

#include "log.h"
#include "mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Frames to everybody (broadcast and multicast) cost the host a copy a port. An ARP scan of a /16
 * and 48 Mbit/s of multicast stay below this. */
#define FLOOD_LIMIT "limit rate over 4000/second burst 8000 packets"

/* The gateway must remember every address that it answers, in a table of 1024 that the
 * kernel shares among all namespaces of the machine. A guest with privacy addresses
 * takes a few a day, one full of containers some dozens when it boots. */
#define NEWCOMER_LIMIT "limit rate over 1/second burst 128 packets"
#define SOURCES_SIZE   "65535"
#define SOURCES_MEMORY "10m"

#define IPV6_KIND  "@ll,96,16 0x86dd" /* without a tag, which "ip6" would pass over */
#define FOR_ONE    "meta pkttype != broadcast meta pkttype != multicast "
#define ARP_KIND   "@nh,0,48"   /* of Ethernet and IPv4, with their lengths */
#define DHCP_KIND  "@th,64,24"  /* op, htype, hlen */
#define DHCP_RELAY "@th,256,32" /* giaddr */

/* The limits are a module of nftables' own, which some kernels lack. */
static const struct limits {
    const char *sets, *flood, *newcomer;
} limits = { .sets = "  set floods { type ifname; size 4096; " FLOOD_LIMIT "; }\n"
                     "  set newcomers { type ifname; size 4096; " NEWCOMER_LIMIT "; }\n",
             .flood = "    iifname @floods goto refuse\n",
             .newcomer = "    iifname @newcomers goto refuse\n"
                         "    add @sources6 { iifname . ip6 saddr }\n" },
  no_limits = { .sets = "  set floods { type ifname; }\n  set newcomers { type ifname; }\n",
                .flood = "",
                .newcomer = "" };

/* All that is there before the first rule. %s: one of the above. */
static const char outline_text[] =
    "table " TABLE " {\n"
    "  set macs { typeof " FRAME_SENDER "; }\n"
    "  set ip4 { type ifname . ipv4_addr; }\n"
    "  set plain { typeof " PLAIN_SENDER "; }\n"
    "  set sources6 { type ifname . ipv6_addr; size " SOURCES_SIZE "; flags dynamic,timeout;\n"
    "                 timeout " SOURCES_MEMORY "; }\n"
    "  set drops { type ifname; size 4096; flags dynamic; counter; }\n"
    "  set isolated { type ifname; }\n"
    "%s"
    "  map ports { type ifname : verdict; }\n"
    "  chain prerouting { type filter hook prerouting priority -300; policy drop; }\n"
    "}\n";

static const char forget_text[] =
    "flush table " TABLE "\n"
    "add chain " TABLE " isolation\ndelete chain " TABLE " isolation\n"
    "flush set " TABLE " macs\nflush set " TABLE " ip4\nflush set " TABLE " plain\n"
    "flush set " TABLE " sources6\nflush set " TABLE " drops\nflush set " TABLE " isolated\n"
    "flush set " TABLE " floods\nflush set " TABLE " newcomers\nflush map " TABLE " ports\n";

/* An ARP probe has no sender address; it is for the guest's own address, because a
 * probe for a neighbour's makes that one give its address up. */
static const char rules_text[] =
    "table " TABLE " {\n"
    "  chain refuse { update @drops { iifname } drop; }\n"
    "  chain flood {\n%s  }\n"
    "  chain newcomer {\n%s  }\n"

    "  chain guest_arp {\n"
    "    " ARP_KIND " != 0x000108000604 goto refuse\n"
    "    " ARP_SENDER " != @macs goto refuse\n"
    "    arp saddr ip 0.0.0.0 iifname . arp daddr ip @ip4 accept\n"
    "    iifname . arp saddr ip @ip4 accept\n"
    "    goto refuse\n"
    "  }\n"

    /* As a client, directly, and for itself: a request that carries a neighbour's MAC
     * gives that one's lease back. */
    "  chain dhcp {\n"
    "    " DHCP_KIND " != 0x010106 goto refuse\n"
    "    " DHCP_RELAY " != 0 goto refuse\n"
    "    " DHCP_CLIENT " @macs accept\n"
    "    goto refuse\n"
    "  }\n"
    "  chain udp4 {\n"
    "    udp sport 67 goto refuse\n"
    "    udp dport vmap { 67 : goto dhcp, 68 : goto refuse }\n"
    "    accept\n"
    "  }\n"
    "  chain guest_ip4 {\n"
    "    ip saddr 0.0.0.0 udp sport 68 udp dport 67 goto dhcp\n"
    "    iifname . ip saddr != @ip4 goto refuse\n"
    "    meta l4proto tcp accept\n"
    "    ip frag-off & 0x1fff != 0 meta l4proto != 0 accept\n"
    "    meta l4proto udp goto udp4\n"
    "    icmp type { redirect, router-advertisement } goto refuse\n"
    "    meta l4proto != 0 accept\n" /* none: a header that lies about its lengths */
    "    goto refuse\n"
    "  }\n"

    /* Neighbour discovery is never fragmented (RFC 6980). Who puts more headers behind the
     * fragment's, among them another fragment's, hides something. */
    "  chain fragments6 {\n"
    "    frag nexthdr { 0, 43, 44, 51, 60, 135, 139, 140 } goto refuse\n"
    "    frag frag-off != 0 accept\n"
    "    frag nexthdr ipv6-icmp icmpv6 type != 133-137 accept\n"
    "    frag nexthdr udp udp dport != 546 goto udp6\n"
    "    frag nexthdr { udp, ipv6-icmp } goto refuse\n"
    "    accept\n"
    "  }\n"
    /* Before it has an address: duplicate address detection, a router's whereabouts,
     * multicast reports. */
    "  chain nameless6 {\n"
    "    exthdr frag exists goto refuse\n"
    "    icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report,\n"
    "                  mld-listener-done, mld2-listener-report } accept\n"
    "    goto refuse\n"
    "  }\n"
    "  chain udp6 {\n"
    "    udp sport 547 goto refuse\n"
    "    udp dport 546 goto refuse\n"
    "    accept\n"
    "  }\n"
    "  chain guest_ip6 {\n"
    "    ip6 nexthdr tcp meta l4proto tcp accept\n" /* most of all frames */
    "    exthdr frag exists goto fragments6\n"
    "    meta l4proto udp goto udp6\n"
    "    icmpv6 type { nd-router-advert, nd-redirect } goto refuse\n"
    "    meta l4proto != 0 accept\n"
    "    goto refuse\n"
    "  }\n"

    /* First, most of all frames: all that a strict network's rules below ask of TCP, in one
     * look-up and two instead of several. */
    "  chain prerouting {\n"
    "    meta l4proto tcp " FOR_ONE PLAIN_SENDER " @plain accept\n"
    "    meta l4proto tcp " FOR_ONE IPV6_KIND " " FRAME_SENDER
    " @macs iifname . ip6 saddr @sources6 ip6 nexthdr tcp accept\n"
    "    iifname vmap @ports\n"
    "    goto refuse\n"
    "  }\n"
    "}\n";

static bool has_limits(struct nft *nft)
{
    return nft_accepts(nft, "table bridge vmnet_probe {\n"
                            "  set floods { type ifname; " FLOOD_LIMIT "; }\n"
                            "}\n"
                            "delete table bridge vmnet_probe\n");
}

/* The table of an earlier life is not deleted but emptied and filled: a base chain that is
 * deleted is asked for a moment longer than its sets have elements, and refuses what guests
 * say in it (tried, with 8,000 frames a second: a third of a frame each time, and this way
 * none). Only one that we cannot fill, of another version, has to go. */
int filter_init(struct nft *nft)
{
    const struct limits *l = has_limits(nft) ? &limits : &no_limits;
    AUTO_FREE char *outline = NULL;
    int r = 0;

    if (l == &no_limits)
        log_warning("this kernel has no nftables limits: guests may flood their network");
    if (asprintf(&outline, outline_text, l->sets) < 0) {
        outline = NULL;
        return -ENOMEM;
    }
    if (!nft_accepts(nft, outline))
        r = nft_run(nft, "delete table " TABLE "\n%s", outline);
    if (r == 0)
        r = nft_run(nft, forget_text);
    return r < 0 ? r : nft_run(nft, rules_text, l->flood, l->newcomer);
}

int filter_add_forward_chain(struct nft *nft, const char *name, const char *rules)
{
    return nft_run(nft,
                   "add chain " TABLE " %s { type filter hook forward priority -300; }\n"
                   "flush chain " TABLE " %s\n"
                   "table " TABLE " { chain %s {\n%s\n}\n}\n",
                   name, name, name, rules);
}

/* ---- ports ------------------------------------------------------------------------ */

/* The port's name, and what belongs to it, as the kernel concatenates them. */
static struct nft_element element(const char *set, const char *tap, const void *value, size_t len)
{
    struct nft_element e = { .set = set, .len = NETD_TAP_SIZE + (len + 3) / 4 * 4 };
    const uint8_t *bytes = value;
    int n;

    memcpy(e.key, tap, strnlen(tap, NETD_TAP_SIZE));
    if (len > 0)
        memcpy(e.key + NETD_TAP_SIZE, value, len);
    n = snprintf(e.text, sizeof e.text, "\"%.16s\"%s", tap, len > 0 ? " . 0x" : "");
    for (size_t i = 0; i < len; i++)
        n += snprintf(e.text + n, sizeof e.text - (size_t)n, "%02x", bytes[i]);
    return e;
}

/* MAC and IPv4 address as one. */
static struct nft_element plain(const struct netd_interface *port)
{
    struct nft_element e = { .set = "plain", .len = NETD_TAP_SIZE + 12 };
    const uint8_t *mac = port->mac;
    const uint32_t ipv4 = htonl(port->ipv4);
    uint8_t *value = e.key + NETD_TAP_SIZE;

    memcpy(e.key, port->tap, strnlen(port->tap, NETD_TAP_SIZE));
    memcpy(value, mac, 6);
    memcpy(value + 6, (const uint8_t[]){ 0x08, 0x00 }, 2);
    memcpy(value + 8, &ipv4, sizeof ipv4);
    (void)snprintf(e.text, sizeof e.text,
                   "\"%.16s\" . 0x%02x%02x%02x%02x%02x%02x" PLAIN_TYPE " . 0x%08x", port->tap,
                   mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], port->ipv4);
    return e;
}

static bool is_isolated(const struct netd_network *net, const struct netd_interface *port)
{
    return port->isolated || (net->flags & NETD_NET_ISOLATED);
}

static int change_port(struct nft *nft, bool add, uint32_t index, const struct netd_network *net,
                       const struct netd_interface *port)
{
    uint32_t ipv4 = htonl(port->ipv4);
    struct nft_element e[8];
    char chain[16];
    size_t n = 0;

    (void)snprintf(chain, sizeof chain, "n%u", index);
    e[n++] = element("macs", port->tap, port->mac, sizeof port->mac);
    if (port->ipv4)
        e[n++] = element("ip4", port->tap, &ipv4, sizeof ipv4);
    if (port->ipv4 && net->anti_spoofing == SPOOF_STRICT)
        e[n++] = plain(port);
    if (is_isolated(net, port))
        e[n++] = element("isolated", port->tap, NULL, 0);
    e[n++] = element("floods", port->tap, NULL, 0);
    e[n++] = element("newcomers", port->tap, NULL, 0);
    e[n++] = element("drops", port->tap, NULL, 0);
    e[n] = element("ports", port->tap, NULL, 0);
    e[n++].go_to = chain;
    return nft_change_elements(nft, add, "vmnet", e, n);
}

static int keep_apart(struct nft *nft)
{
    return filter_add_forward_chain(nft, "isolation",
                                    "iifname @isolated oifname != " HOST_PORTS " drop\n"
                                    "oifname @isolated iifname != " HOST_PORTS " drop");
}

int filter_add_port(struct nft *nft, uint32_t index, const struct netd_network *net,
                    const struct netd_interface *port)
{
    int r = is_isolated(net, port) ? keep_apart(nft) : 0;

    return r < 0 ? r : change_port(nft, true, index, net, port);
}

static void note_one(void *arg, const json_t *element)
{
    bool *any = arg;

    (void)element;
    *any = true;
}

/* A chain that is left over costs speed and nothing else. */
static void stop_keeping_apart(struct nft *nft)
{
    bool any = false;

    if (nft_each_element(nft, TABLE " isolated", note_one, &any) == 0 && !any)
        (void)nft_run(nft, "delete chain " TABLE " isolation\n");
}

static int remove_port(struct nft *nft, uint32_t index, const struct netd_network *net,
                       const struct netd_interface *port)
{
    int r = change_port(nft, false, index, net, port);

    if (r == 0 || r == -ENOENT)
        return r;
    /* Nobody will ask for it again, and a moment without memory passes. ENOENT now: it was
     * done, and only the kernel's word on it did not come. */
    r = change_port(nft, false, index, net, port);
    return r == -ENOENT ? 0 : r;
}

int filter_remove_port(struct nft *nft, uint32_t index, const struct netd_network *net,
                       const struct netd_interface *port)
{
    int r = remove_port(nft, index, net, port);

    if (r == 0 && is_isolated(net, port))
        stop_keeping_apart(nft);
    return r;
}

struct listener {
    void (*each)(void *arg, const char *tap, uint64_t packets);
    void *arg;
};

/* {"elem": {"val": "vt0.1", "counter": {"packets": 0, "bytes": 0}}} */
static void report_drops(void *arg, const json_t *item)
{
    const struct listener *to = arg;
    const json_t *elem = json_object_get(item, "elem");
    const char *tap = json_string_value(json_object_get(elem, "val"));
    json_int_t packets =
        json_integer_value(json_object_get(json_object_get(elem, "counter"), "packets"));

    if (tap && packets >= 0)
        to->each(to->arg, tap, (uint64_t)packets);
}

int filter_drops(struct nft *nft, void (*each)(void *arg, const char *tap, uint64_t packets),
                 void *arg)
{
    struct listener to = { each, arg };

    return nft_each_element(nft, TABLE " drops", report_drops, &to);
}
