/* SPDX-License-Identifier: Apache-2.0 */
#include "turns.h"
#include "arp.h"
#include "measure.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READY_USEC    20e6
#define AGAIN_MSEC    20
#define PATIENCE_MSEC 10000 /* other processes may have the CPUs */

static double cpu_usec(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void put(const struct way *way)
{
    if (write(way->in, way->frame.bytes, way->frame.len) < 0)
        give_up("cannot write to a TAP: %s", strerror(errno));
}

/* NULL: not within so much time. */
static const uint8_t *get(const struct way *way, int msec)
{
    static uint8_t bytes[FRAME_MAX];
    struct pollfd out = { .fd = way->out, .events = POLLIN };
    for (;;) {
        ssize_t n = read(way->out, bytes, sizeof bytes);
        if (n > 0 && tcp_frame_is(&way->frame, bytes, (size_t)n))
            return bytes;
        if (n > 0 && way->receiver)
            arp_answer(way->out, way->receiver, bytes, (size_t)n);
        if (n < 0 && errno != EAGAIN)
            give_up("cannot read from a TAP: %s", strerror(errno));
        if (n < 0 && poll(&out, 1, msec) <= 0)
            return NULL;
    }
}

const uint8_t *way_open(const struct way *way)
{
    for (double end = now_usec() + READY_USEC; now_usec() < end;) {
        put(way);
        const uint8_t *bytes = get(way, AGAIN_MSEC);
        if (bytes)
            return bytes;
    }
    give_up("no frame of %zu bytes arrives", way->frame.len);
}

static double usec_per_frame(const struct way *way, size_t n)
{
    double start = cpu_usec();
    for (size_t i = 0; i < n; i++) {
        put(way);
        if (!get(way, PATIENCE_MSEC))
            give_up("a frame of %zu bytes was lost", way->frame.len);
    }
    return (cpu_usec() - start) / (double)n;
}

void turns_take(struct turns *turns, const struct way *ways, size_t n_ways, size_t n_frames)
{
    for (size_t k = 0; k < n_ways; k++)
        (void)way_open(&ways[k]);
    for (size_t i = 0; i < TURNS; i++)
        for (size_t k = 0; k < n_ways; k++) { /* each is the first as often as the others */
            size_t way = (i + k) % n_ways;
            turns->usec[way][i] = usec_per_frame(&ways[way], n_frames);
        }
}

double turns_difference(const struct turns *turns, size_t a, size_t b)
{
    double difference[TURNS];
    for (size_t i = 0; i < TURNS; i++)
        difference[i] = turns->usec[a][i] - turns->usec[b][i];
    return median(difference, TURNS);
}

double turns_ratio(const struct turns *turns, size_t a, size_t b)
{
    double ratio[TURNS];
    for (size_t i = 0; i < TURNS; i++)
        ratio[i] = turns->usec[a][i] / turns->usec[b][i];
    return median(ratio, TURNS);
}

static void report_one(const char *name, const double usec[static TURNS])
{
    double sorted[TURNS];
    memcpy(sorted, usec, sizeof sorted);
    double m = median(sorted, TURNS);
    printf("  %s %5.2f [%.2f..%.2f]", name, m, sorted[0], sorted[TURNS - 1]);
}

void turns_report(const char *what, const struct turns *turns, size_t ours, size_t bare,
                  const char *more)
{
    printf("%-40s", what);
    report_one("ours", turns->usec[ours]);
    report_one("bare", turns->usec[bare]);
    printf(" us of CPU  ratio %.2f  difference %.2f%s\n", turns_ratio(turns, ours, bare),
           turns_difference(turns, ours, bare), more);
    fflush(stdout);
}
