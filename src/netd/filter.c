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
 *   known     interface group (a network's) . MAC: whoever is on the network
 *   floods    how many frames a port may have copied to everybody
 *   sources6, newcomers   IPv6 addresses that a port has used, and how fast it may
 *             begin to use more
 *   drops     frames refused, by port
 *   hosts     the ports by which the host is on its networks (system instance). Their frames
 *             go to a chain of their own: the host sends from its own addresses there, and
 *             from no other that it has
 *
 * Where a rule looks into a packet it does so to accept: nftables passes over a rule
 * whose field the packet is too short for, and what is passed over must not end in an
 * accept. Fragments are told apart first: in all but the first, nftables takes data for
 * a header.
 *
 * A bridge's own port isolation keeps isolated ports apart from each other only; here
 * an isolated VM reaches the gateway and no other VM, so what is forwarded from or to
 * it is dropped. The gateway's own frames are not forwarded ones, and the host's are let
 * through.
 *
 * Only iifname and iifgroup are used: bridge meta, reject and connection tracking in
 * the bridge family are modules that many kernels lack. The ports of our bridges are
 * all the guests' and the host's, and frames of the gateway itself do not pass prerouting.
 */
#include "filter.h"

#include "bridge.h"
#include "log.h"
#include "mem.h"
#include "names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TABLE "bridge vmnet"

/* Frames to everybody (broadcast, multicast, a MAC that nobody has) cost the host a
 * copy a port. An ARP scan of a /16 and 48 Mbit/s of multicast stay below this. */
#define FLOOD_LIMIT "limit rate over 4000/second burst 8000 packets"

/* The gateway must remember every address that it answers, in a table of 1024 that the
 * kernel shares among all namespaces of the machine. A guest with privacy addresses
 * takes a few a day, one full of containers some dozens when it boots. */
#define NEWCOMER_LIMIT "limit rate over 1/second burst 128 packets"
#define SOURCES_SIZE   "65535"
#define SOURCES_MEMORY "10m"

/* Raw, since a set holds one type of key, and these are one MAC in three places. */
#define FRAME_SENDER "iifname . @ll,48,48"
#define ARP_SENDER   "iifname . @nh,64,48"
#define ARP_KIND     "@nh,0,48"             /* of Ethernet and IPv4, with their lengths */
#define DHCP_CLIENT  "iifname . @th,288,48" /* BOOTP's chaddr */
#define DHCP_KIND    "@th,64,24"            /* op, htype, hlen */
#define DHCP_RELAY   "@th,256,32"           /* giaddr */
#define ND_TARGET    "@th,64,128"

#define GATEWAY_KEY (16 + MAC_TEXT)

DEFINE_AUTO(json_t *, json_decref);

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
    "  set known { type devgroup . ether_addr; }\n"
    "  set sources6 { type ifname . ipv6_addr; size " SOURCES_SIZE "; flags dynamic,timeout;\n"
    "                 timeout " SOURCES_MEMORY "; }\n"
    "  set drops { type ifname; size 4096; flags dynamic; counter; }\n"
    "  set isolated { type ifname; }\n"
    "  set hosts { type ifname; }\n"
    "%s"
    "  map ports { type ifname : verdict; }\n"
    "  chain prerouting { type filter hook prerouting priority -300; policy drop; }\n"
    "  chain forward { type filter hook forward priority -300; policy accept; }\n"
    "}\n";

static const char forget_text[] =
    "flush table " TABLE "\n"
    "flush set " TABLE " macs\nflush set " TABLE " ip4\nflush set " TABLE " known\n"
    "flush set " TABLE " sources6\nflush set " TABLE " drops\nflush set " TABLE " isolated\n"
    "flush set " TABLE " hosts\n"
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

    "  chain prerouting {\n"
    "    iifname vmap @ports\n"
    "    goto refuse\n"
    "  }\n"
    "  chain forward {\n"
    "    iifname @isolated oifname != @hosts drop\n"
    "    oifname @isolated iifname != @hosts drop\n"
    /* A DHCP server of the host's that listens everywhere must not answer here. */
    "    oifname @hosts udp dport { 67, 547 } drop\n"
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

/* ---- networks --------------------------------------------------------------------- */

/* What a strict chain must know of its network's IPv6. */
struct texts6 {
    char sources[PREFIX6_TEXT + 32];  /* what may be a source */
    char routers[4 * ADDR6_TEXT + 8]; /* addresses of gateway and host: no guest's */
    char targets[4 * 36 + 8];         /* the same, as raw payload is written */
};

static size_t raw_text(const uint8_t addr[static 16], char *text)
{
    size_t n = (size_t)sprintf(text, "0x");

    for (size_t i = 0; i < 16; i++)
        n += (size_t)sprintf(text + n, "%02x", addr[i]);
    return n;
}

static void add_router(struct texts6 *t, const uint8_t addr[static 16])
{
    const char *comma = *t->routers ? ", " : "";
    size_t n = strlen(t->routers), m = strlen(t->targets);
    char text[ADDR6_TEXT];

    (void)snprintf(t->routers + n, sizeof t->routers - n, "%s%s", comma, addr6_format(addr, text));
    m += (size_t)sprintf(t->targets + m, "%s", comma);
    (void)raw_text(addr, t->targets + m);
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
                   "  iifgroup . ether daddr != @known jump flood\n"
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

/* Nested guests have MACs that we do not know: a unicast frame to one is no flood. */
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

/* The gateway is on the network, too: frames for it are no flood. */
static const char *gateway_key(uint32_t index, const struct netd_network *net,
                               char text[static GATEWAY_KEY])
{
    char mac[MAC_TEXT];

    (void)snprintf(text, GATEWAY_KEY, "%u . %s", group_of(index), mac_format(bridge_mac(net), mac));
    return text;
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
    char text[ADDR4_TEXT], mac_text[MAC_TEXT];
    char elements[6][64];
    static const char *const sets[] = { "macs", "ip4", "known", "hosts", "drops", "ports" };
    int r = 0;

    (void)snprintf(elements[0], sizeof *elements,
                   "\"" HOST_PORT "%u\" . 0x%02x%02x%02x%02x%02x%02x", index, mac.b[0], mac.b[1],
                   mac.b[2], mac.b[3], mac.b[4], mac.b[5]);
    (void)snprintf(elements[1], sizeof *elements, "\"" HOST_PORT "%u\" . %s", index,
                   addr4_format(subnet4_host(subnet), text));
    (void)snprintf(elements[2], sizeof *elements, "%u . %s", group_of(index),
                   mac_format(mac, mac_text));
    (void)snprintf(elements[3], sizeof *elements, "\"" HOST_PORT "%u\"", index);
    (void)snprintf(elements[4], sizeof *elements, "\"" HOST_PORT "%u\"", index);
    (void)snprintf(elements[5], sizeof *elements, "\"" HOST_PORT "%u\" : goto h%u", index, index);
    for (size_t i = 0; r == 0 && i < N_ELEMENTS(sets); i++)
        r = change_host_element(nft, add, sets[i], elements[i]);
    return r;
}

static int add_host(struct nft *nft, uint32_t index, const struct netd_network *net)
{
    int r = add_host_chain(nft, index, net);

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
    char key[GATEWAY_KEY];
    int r;

    if (net->anti_spoofing == SPOOF_STRICT)
        r = add_strict(nft, index, net, host);
    else
        r = add_lenient(nft, index, net->anti_spoofing);
    if (r == 0 && host)
        r = add_host(nft, index, net);
    if (r < 0)
        return r;
    return nft_run(nft, "add element " TABLE " known { %s }\n", gateway_key(index, net, key));
}

int filter_remove_network(struct nft *nft, uint32_t index, const struct netd_network *net,
                          bool host)
{
    char key[GATEWAY_KEY];
    int r = host ? remove_host(nft, index, net) : 0;

    (void)gateway_key(index, net, key);
    if (r < 0)
        return r;
    /* Adding first makes the deletion succeed when it was never there. What the next
     * network of this index lets through is not what this one did. */
    return nft_run(nft,
                   "flush set " TABLE " sources6\n"
                   "add chain " TABLE " n%u\ndelete chain " TABLE " n%u\n"
                   "add element " TABLE " known { %s }\ndelete element " TABLE " known { %s }\n",
                   index, index, key, key);
}

int filter_forget_host_drops(struct nft *nft, uint32_t index)
{
    char element[32];

    (void)snprintf(element, sizeof element, "\"" HOST_PORT "%u\"", index);
    return change_host_element(nft, false, "drops", element);
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

static struct nft_element known(uint32_t index, const uint8_t mac[static 6])
{
    const uint32_t group = group_of(index);
    struct nft_element e = { .set = "known", .len = sizeof group + 8 };

    memcpy(e.key, &group, sizeof group);
    memcpy(e.key + sizeof group, mac, 6);
    (void)snprintf(e.text, sizeof e.text, "%u . %02x:%02x:%02x:%02x:%02x:%02x", group, mac[0],
                   mac[1], mac[2], mac[3], mac[4], mac[5]);
    return e;
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
    if (port->isolated || (net->flags & NETD_NET_ISOLATED))
        e[n++] = element("isolated", port->tap, NULL, 0);
    e[n++] = known(index, port->mac);
    e[n++] = element("floods", port->tap, NULL, 0);
    e[n++] = element("newcomers", port->tap, NULL, 0);
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
    int r = change_port(nft, false, index, net, port);

    if (r == 0 || r == -ENOENT)
        return r;
    /* Nobody will ask for it again, and a moment without memory passes. ENOENT now: it was
     * done, and only the kernel's word on it did not come. */
    r = change_port(nft, false, index, net, port);
    return r == -ENOENT ? 0 : r;
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
