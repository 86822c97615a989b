/* SPDX-License-Identifier: Apache-2.0 */
/* frames.c - see frames.h.
 *
 * A stream's throughput differs by some hundredths from run to run, and most of its time is
 * copying; so here single frames are written to one TAP and read from another by this one process.
 * Its CPU time is the kernel's for the whole way, and the copying, which is the same on both
 * networks: whoever writes to a TAP runs what is between. (But for a kernel with
 * CONFIG_IRQ_TIME_ACCOUNTING, which charges nobody for the part behind a virtual link.) One frame
 * is under way at a time. Ours, a bare bridge and one with the detour only take turns, which are
 * short, so that another process's work falls on few.
 */
#include "frames.h"

#include "bare.h"
#include "client.h"
#include "guest_tap.h"
#include "measure.h"
#include "tcp_frame.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TURNS         42   /* so that each network begins as many */
#define LONG_FRAMES   1000 /* a turn */
#define SHORT_FRAMES  4000
#define LONG_PAYLOAD  60000
#define PATIENCE_MSEC 2000
#define VMS           2
#define FIRST_NUMBER  16 /* within the IPv6 prefix */

enum { OURS, DETOUR, BARE, NETWORKS };

struct vm {
    int tap;
    struct mac mac;
    struct address ip, ip6;
};

/* By which descriptor a frame enters, and by which it leaves. */
struct way {
    int in, out;
    struct tcp_frame frame;
};

static double cpu_usec(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* ---- one way ---- */

static bool arrives(const struct way *way, int msec)
{
    static uint8_t bytes[FRAME_MAX];
    struct pollfd out = { .fd = way->out, .events = POLLIN };
    for (;;) {
        ssize_t n = read(way->out, bytes, sizeof bytes);
        if (n > 0 && tcp_frame_is(&way->frame, bytes, (size_t)n))
            return true;
        if (n < 0 && errno != EAGAIN)
            give_up("cannot read from a TAP: %s", strerror(errno));
        if (n < 0 && poll(&out, 1, msec) <= 0)
            return false;
    }
}

static void put(const struct way *way)
{
    if (write(way->in, way->frame.bytes, way->frame.len) < 0)
        give_up("cannot write to a TAP: %s", strerror(errno));
}

/* A link that has just come up is not ready at once, and bridges learn. */
static void open_way(const struct way *way)
{
    for (double end = now_usec() + 5e6; now_usec() < end;) {
        put(way);
        if (arrives(way, 20))
            return;
    }
    give_up("no frame of %zu bytes arrives", way->frame.len);
}

static double usec_per_frame(const struct way *way, size_t n)
{
    double start = cpu_usec();
    for (size_t i = 0; i < n; i++) {
        put(way);
        if (!arrives(way, PATIENCE_MSEC))
            give_up("a frame of %zu bytes was lost", way->frame.len);
    }
    return (cpu_usec() - start) / (double)n;
}

/* ---- ways side by side ---- */

static double median_of_differences(const double a[static TURNS], const double b[static TURNS])
{
    double difference[TURNS];
    for (size_t i = 0; i < TURNS; i++)
        difference[i] = a[i] - b[i];
    return median(difference, TURNS);
}

static double median_of_ratios(const double a[static TURNS], const double b[static TURNS])
{
    double ratio[TURNS];
    for (size_t i = 0; i < TURNS; i++)
        ratio[i] = a[i] / b[i];
    return median(ratio, TURNS);
}

static void report(const char *what, double usec[NETWORKS][TURNS])
{
    double *ours = usec[OURS], *bare = usec[BARE];
    double more = median_of_differences(ours, bare), ratio = median_of_ratios(ours, bare);
    double detour = median_of_differences(usec[DETOUR], bare);
    double a = median(ours, TURNS), b = median(bare, TURNS); /* sorted from here on */
    printf("%-32s ours %5.2f [%.2f..%.2f]  bare %5.2f [%.2f..%.2f] us of CPU  "
           "difference %.2f, the detour's part %.2f  ratio %.2f\n",
           what, a, ours[0], ours[TURNS - 1], b, bare[0], bare[TURNS - 1], more, detour, ratio);
    fflush(stdout);
}

static void compare(const char *what, const struct way ways[NETWORKS], size_t n)
{
    double usec[NETWORKS][TURNS];
    for (size_t k = 0; k < NETWORKS; k++)
        open_way(&ways[k]);
    for (size_t i = 0; i < TURNS; i++)
        for (size_t k = 0; k < NETWORKS; k++) { /* each is the first as often as the others */
            size_t net = (i + k) % NETWORKS;
            usec[net][i] = usec_per_frame(&ways[net], n);
        }
    report(what, usec);
}

/* ---- from VM to VM ---- */

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
