/* SPDX-License-Identifier: Apache-2.0 */
/* frames.c - see frames.h. A bridge with the detour only takes turns, too, so that one can tell
 * what of the difference is the detour's and what the filter's.
 */
#include "frames.h"

#include "bare.h"
#include "client.h"
#include "guest_tap.h"
#include "measure.h"
#include "turns.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VMS          2
#define FIRST_NUMBER 16 /* within the IPv6 prefix */

enum { OURS, DETOUR, BARE, NETWORKS };

struct vm {
    int tap;
    struct mac mac;
    struct address ip, ip6;
};

static struct tcp_end end_of(const struct vm *vm, unsigned version)
{
    return (struct tcp_end){ vm->mac, version == 4 ? vm->ip : vm->ip6, 5001 };
}

static void lead(struct way *way, const struct vm *from, const struct vm *to, unsigned version,
                 size_t payload)
{
    struct tcp_end source = end_of(from, version), sink = end_of(to, version);
    way->in = from->tap;
    way->out = to->tap;
    tcp_frame_make(&way->frame, &source, &sink,
                   (struct tcp_segment){ .flags = TH_ACK, .seq = 1, .ack = 1, .payload = payload });
}

static void compare(const char *what, const struct way ways[NETWORKS], size_t n_frames)
{
    struct turns turns;
    char more[64];
    turns_take(&turns, ways, NETWORKS, n_frames);
    (void)snprintf(more, sizeof more, ", the detour's part %.2f",
                   turns_difference(&turns, DETOUR, BARE));
    turns_report(what, &turns, OURS, BARE, more);
}

/* A transfer from the first VM to the second one, and what acknowledges it. */
static void compare_transfer(struct vm vms[NETWORKS][VMS], unsigned version)
{
    static struct way ways[NETWORKS];
    char what[64];
    for (size_t k = 0; k < NETWORKS; k++)
        lead(&ways[k], &vms[k][0], &vms[k][1], version, LONG_PAYLOAD);
    (void)snprintf(what, sizeof what, "VM to VM, IPv%u, 60 kB of TCP", version);
    compare(what, ways, LONG_FRAMES);
    for (size_t k = 0; k < NETWORKS; k++)
        lead(&ways[k], &vms[k][1], &vms[k][0], version, 0);
    (void)snprintf(what, sizeof what, "VM to VM, IPv%u, acknowledgement", version);
    compare(what, ways, SHORT_FRAMES);
}

static struct prefix6 acquire(int sock)
{
    static char reply[65536];
    char text[PREFIX6_TEXT];
    struct prefix6 prefix;
    (void)client_must(sock, ACQUIRE("shared"), reply, sizeof reply, NULL);
    client_text(reply, "ipv6_prefix", text, sizeof text);
    if (prefix6_parse(text, &prefix) < 0)
        give_up("%s is not a prefix", text);
    return prefix;
}

static void start_vm(int sock, struct prefix6 prefix, uint8_t number, struct vm *vm)
{
    static char reply[65536];
    char text[ADDR6_TEXT];
    (void)client_must(sock, START_ON("shared"), reply, sizeof reply, &vm->tap);
    vm->mac = client_mac(reply);
    client_text(reply, "ipv4_address", text, sizeof text);
    if (address_parse(text, &vm->ip) < 0)
        give_up("%s is not an address", text);
    vm->ip6.version = 6;
    memcpy(vm->ip6.v6, prefix.addr, sizeof prefix.addr);
    vm->ip6.v6[15] = number;
}

/* The same VMs on another network. */
static void start_again(bool detour, const struct vm ours[VMS], struct vm vms[VMS])
{
    int taps[VMS];
    bare_bridge_enter(detour, taps, VMS);
    for (size_t i = 0; i < VMS; i++) {
        vms[i] = ours[i];
        vms[i].tap = taps[i];
    }
}

void measure_frames(const char *broker_path)
{
    struct vm vms[NETWORKS][VMS] = { 0 };
    int sock = client_connect(broker_path);
    struct prefix6 prefix = acquire(sock);
    for (uint8_t i = 0; i < VMS; i++)
        start_vm(sock, prefix, FIRST_NUMBER + i, &vms[OURS][i]);
    start_again(true, vms[OURS], vms[DETOUR]);
    start_again(false, vms[OURS], vms[BARE]);
    for (size_t k = 0; k < NETWORKS * VMS; k++)
        guest_tap_welcome_offloads(vms[k / VMS][k % VMS].tap);
    compare_transfer(vms, 4);
    compare_transfer(vms, 6);
    for (size_t k = 0; k < NETWORKS * VMS; k++)
        close(vms[k / VMS][k % VMS].tap);
    close(sock);
}
