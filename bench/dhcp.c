/* SPDX-License-Identifier: Apache-2.0 */
#include "dhcp.h"
#include "measure.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { VNET = 10, ETH = 14, IP = 20, UDP = 8, BOOTP = 240 };

static void put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static unsigned ip_checksum(const uint8_t *p)
{
    uint32_t sum = 0;
    for (int i = 0; i < IP; i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static size_t discover(uint8_t *f, struct mac mac)
{
    static const uint8_t options[] = { 99, 130, 83, 99, 53, 1, 1, 255 };
    size_t len = ETH + IP + UDP + 236 + sizeof options + 48;
    memset(f, 0, len);
    memset(f, 0xff, 6);
    memcpy(f + 6, mac.b, 6);
    put16(f + 12, 0x0800);
    uint8_t *ip = f + ETH, *udp = ip + IP, *bootp = udp + UDP;
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)len - ETH);
    ip[8] = 64;
    ip[9] = 17;
    memset(ip + 16, 0xff, 4);
    put16(ip + 10, ip_checksum(ip));
    put16(udp, 68);
    put16(udp + 2, 67);
    put16(udp + 4, (unsigned)len - ETH - IP);
    bootp[0] = 1;
    bootp[1] = 1;
    bootp[2] = 6;
    memcpy(bootp + 4, "vbch", 4);
    put16(bootp + 10, 0x8000); /* answer by broadcast */
    memcpy(bootp + 28, mac.b, 6);
    memcpy(bootp + 236, options, sizeof options);
    return len;
}

static bool is_offer(const uint8_t *f, ssize_t n, struct mac mac)
{
    const uint8_t *udp = f + ETH + IP, *bootp = udp + UDP;
    return n >= ETH + IP + UDP + BOOTP + 3 && f[12] == 8 && f[13] == 0 && f[ETH + 9] == 17 &&
           udp[1] == 67 && bootp[0] == 2 && memcmp(bootp + 28, mac.b, 6) == 0 && bootp[240] == 53 &&
           bootp[242] == 2;
}

void dhcp_await_offer(int tap, struct mac mac)
{
    uint8_t frame[2048];
    uint8_t request[512] = { 0 }; /* no checksum to complete, nothing to cut up */
    size_t len = VNET + discover(request + VNET, mac);
    for (double end = now_usec() + 5e6; now_usec() < end;) {
        (void)!write(tap, request, len); /* the port may not be up yet: asked again */
        struct pollfd p = { .fd = tap, .events = POLLIN };
        while (poll(&p, 1, 1) > 0) {
            ssize_t n = read(tap, frame, sizeof frame);
            if (n <= 0)
                break;
            if (is_offer(frame + VNET, n - VNET, mac))
                return;
        }
    }
    give_up("no DHCP offer within 5 s");
}
