/* SPDX-License-Identifier: Apache-2.0 */
/* router_rules.c - who may talk to the namespace, and through it.
 *
 * The rules stand still; what comes and goes are elements of sets keyed by the
 * name of the incoming link. A packet therefore costs the same few look-ups with
 * one network as with a hundred, and adding or removing a network is one small
 * transaction that never touches the rules of the others.
 *
 *   bridges      every network's bridge
 *   gateways4/6  bridge . the address that its guests may ask: without the pair, a
 *                guest could ask its neighbours' gateways, which are local here too
 *   uplinks      every uplink that there can be (names.h)
 *   ways         bridge . uplink . protocol that may leave, and uplink . bridge . protocol for
 *                the answers: the one look-up of most packets, and so by their interface groups,
 *                which are numbers. `host` networks are never in it, and a network that has
 *                chosen an interface leaves by no other
 *
 * Each uplink has a chain, leaving, which asks three more that are rewritten as things
 * change, each in one transaction (the kernel's uplink has but the first):
 *
 *   unreachable  while the host has no route of a family, guests are told at once
 *                instead of waiting for a time-out
 *   generation   flows are marked with the engine's generation. A new engine knows
 *                nothing of the TCP connections of the last one, and answers them
 *                with silence; so we reset them at the guest's next segment. A SYN
 *                is of today, whatever connection had its ports before. Only
 *                TCP: an engine takes up UDP and echo in the middle, and rejecting
 *                these would keep a tunnel or a ping dead for as long as it tries.
 *   limits       pasta takes the first fragment for the whole datagram. Whatever is to
 *                leave in pieces has a mark, and with it does not leave: nothing is
 *                better than half of it. To a forwarded port's client it may go. The chain
 *                that marks, early, is there as soon as an engine needs it
 *                slirp4netns carries no ICMPv6, and logs every attempt: a guest's ping
 *                would fill the disk.
 *
 * And one for all:
 *
 *   forwarded    while ports of the host are forwarded, what a VM answers to a client's
 *                address is marked, to be delivered to the socket that has that address.
 *                There is none otherwise: it costs every packet a look-up.
 *
 * What all networks share is shared out: each guest, known by bridge . MAC, gets so much of it
 * and no more. The first three would stop a network's dnsmasq, the last the way out of all:
 *
 *   asking    questions in datagrams. dnsmasq keeps one that nobody answers for 10 s, and so
 *             many at most (dnsmasq_files.c)
 *   leasing   DHCP, whose every answer is written down, and router solicitations, whose
 *             answers all neighbours get
 *   streams   TCP connections to dnsmasq: each is a process, of which there are 20, for as
 *             long as 150 s
 *   flows     connections to the outside. Conntrack's table is everybody's (262,144 on most
 *             machines, 65,536 on small ones), and so are the engine's sockets and the 22,768
 *             ports that datagrams to one address leave from. A connection that has ended
 *             does not count
 *
 * What is dropped for that is counted by guest, in the sets denied_questions and denied_flows, and
 * forgotten when nothing has been for a while (router_denied.c). A packet that is not dropped
 * knows nothing of it.
 *
 * Datagrams for dnsmasq are not tracked: a table of answered questions is of no use, a
 * guest could fill it, and a second question of one port would pass for an answer.
 *
 * The input chain drops what conntrack calls invalid from the uplink by its policy
 * already; the rule is there so that nobody opens the policy without it. Debian
 * 12's pasta sends window updates without any TCP flag; behind NAT the namespace
 * would answer these with a reset, and every connection to a far server would hang.
 */
#include "router.h"

#include "knobs.h"
#include "log.h"
#include "mem.h"
#include "names.h"
#include "nft_text.h"

#define GUEST "iifname . ether saddr"

/* A guest with a cache of its own asks some dozens a second when it is busy. */
#define ASKING_LIMIT  "limit rate over 200/second burst 1000 packets"
#define LEASING_LIMIT "limit rate over 10/second burst 50 packets"
#define STREAMS_LIMIT "ct count over 4"
/* At their limit, 40,000 more attempts took 15 µs each, with the sending. */
#define FLOWS_LIMIT   "ct count over 4096"

#define GUESTS_FOR_A_WHILE                                                                         \
    "type ifname . ether_addr; size 65535; flags dynamic,timeout; timeout 1m;"
#define GUESTS_THAT_COUNT "type ifname . ether_addr; size 65535; flags dynamic;"

/* So many guests are counted, and whoever does not fit is dropped all the same. */
#define DENIED "type ifname . ether_addr; size 4096; flags dynamic,timeout; timeout 10m; counter;"

/* Kernels without the modules behind this do without. */
static const struct shares {
    const char *sets, *services, *leaving;
} shares = { .sets = "  set asking { " GUESTS_FOR_A_WHILE " }\n"
                     "  set leasing { " GUESTS_FOR_A_WHILE " }\n"
                     "  set streams { " GUESTS_THAT_COUNT " }\n"
                     "  set flows { " GUESTS_THAT_COUNT " }\n"
                     "  set denied_questions { " DENIED " }\n"
                     "  set denied_flows { " DENIED " }\n"
                     "  chain deny_question { update @denied_questions { " GUEST " }\n drop\n }\n"
                     "  chain deny_flow { update @denied_flows { " GUEST " }\n drop\n }\n",
             .services = "    udp dport 53 update @asking { " GUEST " " ASKING_LIMIT
                         " } goto deny_question\n"
                         "    udp dport { 67, 547 } update @leasing { " GUEST " " LEASING_LIMIT
                         " } goto deny_question\n"
                         "    icmpv6 type nd-router-solicit update @leasing { " GUEST
                         " " LEASING_LIMIT " } goto deny_question\n"
                         "    tcp dport 53 ct state new add @streams { " GUEST " " STREAMS_LIMIT
                         " } goto deny_question\n",
             .leaving =
                 "    ct state new add @flows { " GUEST " " FLOWS_LIMIT " } goto deny_flow\n" },
  no_shares = { .sets = "  set asking { type ifname . ether_addr; }\n"
                        "  set leasing { type ifname . ether_addr; }\n"
                        "  set denied_questions { type ifname . ether_addr; }\n"
                        "  set denied_flows { type ifname . ether_addr; }\n",
                .services = "",
                .leaving = "" };

/* %s: sets and services of the above. */
static const char table_text[] =
    "add table inet vmnet\n" /* so that deleting it works the first time, too */
    "delete table inet vmnet\n"
    "table inet vmnet {\n"
    "  set bridges { type ifname; }\n"
    "  set gateways4 { type ifname . ipv4_addr; }\n"
    "  set gateways6 { type ifname . ipv6_addr; }\n"
    "  set uplinks { type ifname; }\n"
    "  map ways { type devgroup . devgroup . nf_proto : verdict; }\n"
    "  set open { type devgroup . nf_proto; }\n" /* networks that have some way out */
    "%s"

    "  chain services {\n%s"
    "    udp dport { 53, 67, 547 } accept\n"
    "    tcp dport 53 accept\n"
    "    icmp type echo-request accept\n"
    "    icmpv6 type { echo-request, nd-router-solicit, nd-neighbor-solicit,\n"
    "                  nd-neighbor-advert, mld-listener-query, mld-listener-report,\n"
    "                  mld-listener-done, mld2-listener-report } accept\n"
    "  }\n"
    "  chain guest {\n"
    /* Answers to what was begun inside: `exec`, and the forwarded ports, whose sockets may
     * be older than what connection tracking remembers. */
    "    ct state established,related accept\n"
    "    meta mark " FORWARDED_MARK_TEXT " accept\n"
    "    ip daddr 255.255.255.255 udp dport 67 goto services\n"
    "    iifname . ip daddr @gateways4 goto services\n"
    "    iifname . ip6 daddr @gateways6 goto services\n"
    "    ip6 daddr { fe80::/10, ff02::/16 } goto services\n"
    "  }\n"
    "  chain input {\n"
    "    type filter hook input priority filter; policy drop;\n"
    "    iifname lo accept\n"
    "    iifname @bridges goto guest\n"
    "    iifname @uplinks ct state invalid drop\n"
    "    iifname @uplinks ct state established,related accept\n"
    /* Neighbour discovery is not tracked; the engine asks for our address. */
    "    iifname @uplinks icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
    "  }\n"

    /* Pings as well, but not the answers to ours. */
    "  chain untracked {\n"
    "    type filter hook prerouting priority raw;\n"
    "    meta l4proto tcp accept\n"
    "    udp dport != { 53, 67, 547 } accept\n"
    "    icmp type != echo-request accept\n"
    "    icmpv6 type != echo-request accept\n"
    "    iifname @bridges udp dport { 67, 547 } notrack\n"
    "    iifname . ip daddr @gateways4 notrack\n"
    "    iifname . ip6 daddr @gateways6 notrack\n"
    "    iifname @bridges ip6 daddr { fe80::/10, ff02::/16 } notrack\n"
    "  }\n"
    "  chain untracked_answers {\n"
    "    type filter hook output priority raw;\n"
    "    oifname @bridges udp sport { 53, 67, 547 } notrack\n"
    "  }\n"
    /* The definition forbids it. Unlike "no route" this ends a TCP connection attempt on
     * every kernel; some take that one for a passing trouble. */
    "  chain forbidden {\n"
    "    meta nfproto ipv4 reject with icmp admin-prohibited\n"
    "    meta nfproto ipv6 reject with icmpv6 admin-prohibited\n"
    "    drop\n"
    "  }\n"
    "  chain arriving { ct state established,related accept; }\n"
    "  chain forward {\n"
    "    type filter hook forward priority filter; policy drop;\n"
    /* Before anybody asks for established connections: those of a network that was open once
     * live on when its definition has closed it, and its guests have the same addresses. */
    "    iifgroup . oifgroup . meta nfproto vmap @ways\n"
    "    oifname @uplinks goto forbidden\n"
    /* By a way that a network has left a moment ago, and that is not in the map any more. */
    "    iifname @uplinks oifgroup . meta nfproto @open goto arriving\n"
    "  }\n"
    "  chain output {\n"
    "    type filter hook output priority filter;\n"
    /* No engine knows what to do with our complaints; one logs each of them. */
    "    oifname @uplinks icmpv6 type { destination-unreachable, packet-too-big,\n"
    "                           time-exceeded, parameter-problem } drop\n"
    "  }\n"
    "  chain postrouting {\n"
    "    type nat hook postrouting priority srcnat;\n"
    /* Debian 12's pasta binds a datagram's source port on the host, and fails where it is
     * taken: so they come from where the host's own sockets rarely are. */
    "    oifname @uplinks meta l4proto udp masquerade to :10000-32767 fully-random\n"
    "    oifname @uplinks masquerade\n"
    "  }\n"
    "}\n";

/* The kernel's uplink has no limits, and its flows outlive us: most of what comes by here belongs
 * to one. %1$u ...: as below. */
static const char kernel_text[] =
    "add element inet vmnet uplinks { \"%2$s\" }\n"
    "table inet vmnet {\n"
    "  chain unreachable%1$u { }\n"
    "  chain leaving%1$u {\n"
    "    ct state established,related accept\n"
    "    jump unreachable%1$u\n"
    "    ct state invalid drop\n" /* would leave without being masqueraded */
    "%3$s"
    "    tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu\n"
    "    accept\n"
    "  }\n"
    "}\n";

/* What one uplink has of its own. %1$u: its slot; %2$s: its link; %3$s: leaving of the above. */
static const char engine_text[] =
    "add element inet vmnet uplinks { \"%2$s\" }\n"
    "table inet vmnet {\n"
    "  chain unreachable%1$u { }\n"
    "  chain limits%1$u { }\n"
    "  chain generation%1$u { }\n"
    "  chain leaving%1$u {\n"
    "    jump unreachable%1$u\n"
    "    jump limits%1$u\n"
    "    ct state invalid drop\n" /* would leave without being masqueraded */
    "%3$s"
    "    jump generation%1$u\n"
    "    tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu\n"
    "    accept\n"
    "  }\n"
    "}\n";

static bool has_shares(struct nft *nft)
{
    return nft_accepts(nft, "table inet vmnet_probe {\n"
                            "  set asking { " GUESTS_FOR_A_WHILE " }\n"
                            "  set flows { " GUESTS_THAT_COUNT " }\n"
                            "  set denied { " DENIED " }\n"
                            "  chain probe {\n"
                            "    update @asking { " GUEST " " ASKING_LIMIT " }\n"
                            "    add @flows { " GUEST " " FLOWS_LIMIT " }\n"
                            "  }\n"
                            "}\n"
                            "delete table inet vmnet_probe\n");
}

int router_init(struct nft *nft)
{
    const struct shares *s = has_shares(nft) ? &shares : &no_shares;
    struct nft_text t = { .len = 0 };

    if (s == &no_shares)
        log_warning(
            "this kernel cannot count a guest's connections (nft_limit, nft_connlimit): one "
            "may use up what all share");
    nft_text_add(&t, table_text, s->sets, s->services);
    for (unsigned slot = 0; slot < UPLINKS_ALL; slot++)
        nft_text_add(&t, slot == KERNEL_SLOT ? kernel_text : engine_text, slot, uplink_link(slot),
                     s->leaving);
    return nft_text_run(&t, nft);
}

/* Connections that have ended do not count as a guest's, and by default are remembered for two
 * minutes: who opens and closes 2,200 a second would fill the table that all networks share. */
void router_forget_ended(void)
{
    static const struct knob knobs[] = {
        { "netfilter/nf_conntrack_", "tcp_timeout_time_wait", "5" },
        { "netfilter/nf_conntrack_", "tcp_timeout_close", "1" },
    };
    struct netd_why why;

    if (knobs_set(knobs, N_ELEMENTS(knobs), "", &why) < 0)
        log_info("guests' ended connections are remembered as long as the kernel likes: %s",
                 why.why);
}
