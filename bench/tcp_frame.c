/* SPDX-License-Identifier: Apache-2.0 */
/* tcp_frame.c - see tcp_frame.h. The vnet header has the kernel's 10 bytes. */
#include "tcp_frame.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>

#define HOPS   64
#define WINDOW 65535

/* What both protocols' TCP checksums begin with; in the order of the wire. */
struct pseudo_header {
    uint8_t from[16], to[16];
    uint32_t len, protocol;
};

static void append(struct tcp_frame *frame, const void *bytes, size_t len)
{
    memcpy(frame->bytes + frame->len, bytes, len);
    frame->len += len;
}

/* Of an even number of bytes, not inverted, in the order of the wire. */
static uint16_t sum(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint32_t total = 0;
    for (size_t i = 0; i < len; i += 2)
        total += (uint32_t)(p[i] << 8 | p[i + 1]);
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return htons((uint16_t)total);
}

static size_t ip_size(const struct tcp_end *end)
{
    return end->address.version == 4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
}

static void append_vnet(struct tcp_frame *frame, const struct tcp_end *from, size_t payload)
{
    const size_t headers = sizeof(struct ether_header) + ip_size(from) + sizeof(struct tcphdr);
    struct virtio_net_hdr vnet = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .csum_start = (uint16_t)(sizeof(struct ether_header) + ip_size(from)),
        .csum_offset = offsetof(struct tcphdr, check),
    };
    const size_t mss = ETHERMTU - ip_size(from) - sizeof(struct tcphdr);
    if (payload > mss) {
        vnet.gso_type =
            from->address.version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
        vnet.gso_size = (uint16_t)mss;
        vnet.hdr_len = (uint16_t)headers;
    }
    append(frame, &vnet, sizeof vnet);
}

static void append_ethernet(struct tcp_frame *frame, const struct tcp_end *from,
                            const struct tcp_end *to)
{
    struct ether_header ethernet = {
        .ether_type = htons(from->address.version == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6)
    };
    memcpy(ethernet.ether_shost, from->mac.b, sizeof from->mac.b);
    memcpy(ethernet.ether_dhost, to->mac.b, sizeof to->mac.b);
    append(frame, &ethernet, sizeof ethernet);
}

static void append_ip(struct tcp_frame *frame, const struct address *from, const struct address *to,
                      size_t len)
{
    struct iphdr ip = {
        .version = 4,
        .ihl = sizeof ip / 4,
        .tot_len = htons((uint16_t)(sizeof ip + len)),
        .frag_off = htons(IP_DF),
        .ttl = HOPS,
        .protocol = IPPROTO_TCP,
        .saddr = htonl(from->v4),
        .daddr = htonl(to->v4),
    };
    ip.check = (uint16_t)~sum(&ip, sizeof ip);
    append(frame, &ip, sizeof ip);
}

static void append_ip6(struct tcp_frame *frame, const struct address *from,
                       const struct address *to, size_t len)
{
    struct ip6_hdr ip = {
        .ip6_flow = htonl(6u << 28),
        .ip6_plen = htons((uint16_t)len),
        .ip6_nxt = IPPROTO_TCP,
        .ip6_hlim = HOPS,
    };
    memcpy(&ip.ip6_src, from->v6, sizeof ip.ip6_src);
    memcpy(&ip.ip6_dst, to->v6, sizeof ip.ip6_dst);
    append(frame, &ip, sizeof ip);
}

/* What the sender writes for the kernel to go on from. */
static uint16_t unfinished_checksum(const struct address *from, const struct address *to,
                                    size_t len)
{
    struct pseudo_header pseudo = { .len = htonl((uint32_t)len), .protocol = htonl(IPPROTO_TCP) };
    if (from->version == 4) {
        memcpy(pseudo.from, &(uint32_t){ htonl(from->v4) }, sizeof(uint32_t));
        memcpy(pseudo.to, &(uint32_t){ htonl(to->v4) }, sizeof(uint32_t));
    } else {
        memcpy(pseudo.from, from->v6, sizeof pseudo.from);
        memcpy(pseudo.to, to->v6, sizeof pseudo.to);
    }
    return sum(&pseudo, sizeof pseudo);
}

void tcp_frame_make(struct tcp_frame *frame, const struct tcp_end *from, const struct tcp_end *to,
                    struct tcp_segment segment)
{
    struct tcphdr tcp = { 0 };
    const size_t len = sizeof tcp + segment.payload;
    tcp.source = htons(from->port);
    tcp.dest = htons(to->port);
    tcp.seq = htonl(segment.seq);
    tcp.ack_seq = htonl(segment.ack);
    tcp.doff = sizeof tcp / 4;
    tcp.th_flags = segment.flags;
    tcp.window = htons(WINDOW);
    tcp.check = unfinished_checksum(&from->address, &to->address, len);

    memset(frame, 0, sizeof *frame);
    append_vnet(frame, from, segment.payload);
    append_ethernet(frame, from, to);
    if (from->address.version == 4)
        append_ip(frame, &from->address, &to->address, len);
    else
        append_ip6(frame, &from->address, &to->address, len);
    append(frame, &tcp, sizeof tcp);
    frame->len += segment.payload; /* zeros */
}

bool tcp_frame_is(const struct tcp_frame *frame, const uint8_t *bytes, size_t len)
{
    enum { TYPE = sizeof(struct virtio_net_hdr) + offsetof(struct ether_header, ether_type) };
    /* The length tells TCP apart from whatever else a network says of itself. */
    return len == frame->len && memcmp(bytes + TYPE, frame->bytes + TYPE, 2) == 0;
}

struct tcp_end tcp_frame_sender(const uint8_t *bytes)
{
    struct {
        struct virtio_net_hdr vnet;
        struct ether_header ethernet;
        struct iphdr ip;
        struct tcphdr tcp;
    } __attribute__((packed)) headers;
    struct tcp_end sender = { .address.version = 4 };
    memcpy(&headers, bytes, sizeof headers);
    memcpy(sender.mac.b, headers.ethernet.ether_shost, sizeof sender.mac.b);
    sender.address.v4 = ntohl(headers.ip.saddr);
    sender.port = ntohs(headers.tcp.source);
    return sender;
}
