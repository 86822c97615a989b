/* SPDX-License-Identifier: Apache-2.0 */
#include "arp.h"
#include "measure.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <netinet/if_ether.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

struct arp_frame {
    struct virtio_net_hdr vnet; /* all zero: nothing to complete */
    struct ether_header ethernet;
    struct ether_arp arp;
} __attribute__((packed));

static void say(int tap, const struct tcp_end *me, uint16_t operation, struct mac to, uint32_t ip)
{
    const struct arp_frame frame_kind = {
        .ethernet.ether_type = htons(ETHERTYPE_ARP),
        .arp.ea_hdr = { htons(ARPHRD_ETHER), htons(ETHERTYPE_IP), ETH_ALEN, sizeof ip,
                        htons(operation) },
    };
    struct arp_frame frame = frame_kind;
    memcpy(frame.ethernet.ether_shost, me->mac.b, ETH_ALEN);
    memcpy(frame.ethernet.ether_dhost, to.b, ETH_ALEN);
    memcpy(frame.arp.arp_sha, me->mac.b, ETH_ALEN);
    memcpy(frame.arp.arp_spa, &(uint32_t){ htonl(me->address.v4) }, sizeof ip);
    memcpy(frame.arp.arp_tha, to.b, ETH_ALEN);
    memcpy(frame.arp.arp_tpa, &(uint32_t){ htonl(ip) }, sizeof ip);
    (void)!write(tap, &frame, sizeof frame); /* lost: asked for again */
}

static uint32_t address_in(const uint8_t bytes[static 4])
{
    uint32_t ip;
    memcpy(&ip, bytes, sizeof ip);
    return ntohl(ip);
}

static bool is(const struct arp_frame *frame, size_t len, uint16_t operation)
{
    return len >= sizeof *frame && frame->ethernet.ether_type == htons(ETHERTYPE_ARP) &&
           frame->arp.ea_hdr.ar_op == htons(operation);
}

struct mac arp_ask(int tap, const struct tcp_end *me, uint32_t ip)
{
    const struct mac everybody = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
    struct mac mac;
    for (double end = now_usec() + 20e6; now_usec() < end;) {
        struct pollfd p = { .fd = tap, .events = POLLIN };
        say(tap, me, ARPOP_REQUEST, everybody, ip);
        while (poll(&p, 1, 20) > 0) {
            union {
                struct arp_frame arp;
                uint8_t any[FRAME_MAX];
            } frame;
            ssize_t n = read(tap, &frame, sizeof frame);
            if (n <= 0 || !is(&frame.arp, (size_t)n, ARPOP_REPLY) ||
                address_in(frame.arp.arp.arp_spa) != ip)
                continue;
            memcpy(mac.b, frame.arp.arp.arp_sha, sizeof mac.b);
            return mac;
        }
    }
    give_up("the gateway does not answer ARP requests");
}

void arp_answer(int tap, const struct tcp_end *me, const uint8_t *bytes, size_t len)
{
    const struct arp_frame *frame = (const void *)bytes;
    struct mac to;
    if (!is(frame, len, ARPOP_REQUEST) || address_in(frame->arp.arp_tpa) != me->address.v4)
        return;
    memcpy(to.b, frame->arp.arp_sha, sizeof to.b);
    say(tap, me, ARPOP_REPLY, to, address_in(frame->arp.arp_spa));
}
