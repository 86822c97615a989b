/* SPDX-License-Identifier: Apache-2.0 */
/* frames_out.c - what one frame costs between a VM and the outside, by the kernel's uplink and by
 * a bare NAT of the same shape:
 *
 *   bench-frames-out SOCKET OUTSIDE BARE_NETNS BARE_TAP
 *
 * OUTSIDE is a TAP of this namespace, which the host's default route leads to; so this process is
 * both the guest and whoever the guest talks to, and has the whole way in between to pay for.
 * BARE_TAP is the bare guest's, in its namespace (bench/frames_out makes both). A connection is
 * opened first, by the book, since connection tracking looks at every frame.
 */
#include "arp.h"
#include "client.h"
#include "guest_tap.h"
#include "measure.h"
#include "turns.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define BARE_GUEST   0x0a090902 /* 10.9.9.2 */
#define BARE_GATEWAY 0x0a090901
#define SERVER       0xcb007150 /* 203.0.113.80 */
#define SERVER_PORT  5001
#define GUEST_PORT   40000

enum { OURS, BARE, NETWORKS };

/* A connection has two names, since an address is translated on the way. */
struct connection {
    int tap, outside;
    struct tcp_end guest, server;                 /* as the guest sees them */
    struct tcp_end outside_guest, outside_server; /* as the server does */
};

static void lead_up(struct way *way, const struct connection *c, struct tcp_segment segment)
{
    way->in = c->tap;
    way->out = c->outside;
    way->receiver = NULL; /* the host knows its neighbour */
    tcp_frame_make(&way->frame, &c->guest, &c->server, segment);
}

static void lead_down(struct way *way, const struct connection *c, struct tcp_segment segment)
{
    way->in = c->outside;
    way->out = c->tap;
    way->receiver = &c->guest;
    tcp_frame_make(&way->frame, &c->outside_server, &c->outside_guest, segment);
}

static void open_connection(struct connection *c, uint32_t gateway)
{
    static struct way way;
    c->server = (struct tcp_end){
        .mac = arp_ask(c->tap, &c->guest, gateway),
        .address = { .version = 4, .v4 = SERVER },
        .port = SERVER_PORT,
    };
    c->outside_server = c->server;
    lead_up(&way, c, (struct tcp_segment){ .flags = TH_SYN });
    c->outside_guest = tcp_frame_sender(way_open(&way));
    lead_down(&way, c, (struct tcp_segment){ .flags = TH_SYN | TH_ACK, .ack = 1 });
    (void)way_open(&way);
    lead_up(&way, c, (struct tcp_segment){ .flags = TH_ACK, .seq = 1, .ack = 1 });
    (void)way_open(&way);
}

/* ---- the guests ---- */

static void start_ours(int sock, struct connection *c)
{
    static char reply[65536];
    char text[ADDR4_TEXT];
    uint32_t gateway;
    (void)client_must(sock, ACQUIRE("shared"), reply, sizeof reply, NULL);
    client_text(reply, "ipv4_gateway", text, sizeof text);
    if (addr4_parse(text, &gateway) < 0)
        give_up("%s is not an address", text);
    (void)client_must(sock, START_ON("shared"), reply, sizeof reply, &c->tap);
    client_text(reply, "ipv4_address", text, sizeof text);
    c->guest = (struct tcp_end){ .mac = client_mac(reply), .port = GUEST_PORT };
    if (address_parse(text, &c->guest.address) < 0)
        give_up("%s is not an address", text);
    guest_tap_welcome_offloads(c->tap);
    open_connection(c, gateway);
}

static void start_bare(const char *netns, const char *tap, struct connection *c)
{
    int fd = open(netns, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
        give_up("cannot enter %s: %s", netns, strerror(errno));
    close(fd);
    c->tap = guest_tap_open(tap);
    guest_tap_welcome_offloads(c->tap);
    c->guest = (struct tcp_end){
        .mac = { { 0x52, 0x54, 0, 9, 9, 2 } },
        .address = { .version = 4, .v4 = BARE_GUEST },
        .port = GUEST_PORT + 1, /* so that both keep theirs on the way */
    };
    open_connection(c, BARE_GATEWAY);
}

/* ---- */

typedef void leader(struct way *way, const struct connection *c, struct tcp_segment segment);

static void compare(const char *what, const struct connection connections[NETWORKS], leader *lead,
                    size_t payload, size_t n_frames)
{
    const struct tcp_segment segment = { .flags = TH_ACK, .seq = 1, .ack = 1, .payload = payload };
    static struct way ways[NETWORKS];
    struct turns turns;
    for (size_t k = 0; k < NETWORKS; k++)
        lead(&ways[k], &connections[k], segment);
    turns_take(&turns, ways, NETWORKS, n_frames);
    turns_report(what, &turns, OURS, BARE, "");
}

int main(int argc, char **argv)
{
    if (argc != 5)
        give_up("usage: bench-frames-out SOCKET OUTSIDE BARE_NETNS BARE_TAP");
    struct connection connections[NETWORKS] = { 0 };
    int outside = guest_tap_open(argv[2]), sock = client_connect(argv[1]);
    guest_tap_welcome_offloads(outside);
    for (size_t k = 0; k < NETWORKS; k++)
        connections[k].outside = outside;
    start_ours(sock, &connections[OURS]);
    start_bare(argv[3], argv[4], &connections[BARE]);
    compare("kernel uplink, up, 60 kB of TCP", connections, lead_up, LONG_PAYLOAD, LONG_FRAMES);
    compare("kernel uplink, its acknowledgement, down", connections, lead_down, 0, SHORT_FRAMES);
    compare("kernel uplink, down, 60 kB of TCP", connections, lead_down, LONG_PAYLOAD, LONG_FRAMES);
    compare("kernel uplink, its acknowledgement, up", connections, lead_up, 0, SHORT_FRAMES);
    return 0;
}
