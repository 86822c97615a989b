/* SPDX-License-Identifier: Apache-2.0 */
/* turns.h - what a frame costs on several ways through the kernel, measured by turns.
 *
 * A stream's throughput differs by some hundredths from run to run, and most of its time is
 * copying; so here single frames are written to one TAP and read from another by this one process.
 * Its CPU time is the kernel's for the whole way, and the copying, which is the same on all ways:
 * whoever writes to a TAP runs what is between. (But for a kernel with CONFIG_IRQ_TIME_ACCOUNTING,
 * which charges nobody for the part behind a virtual link.) One frame is under way at a time. Turns
 * are short, so that another process's work falls on few.
 */
#pragma once
#include "tcp_frame.h"

#define WAYS_MAX     3
#define TURNS        42   /* so that each of two or three ways begins as many */
#define LONG_FRAMES  1000 /* in a turn */
#define SHORT_FRAMES 4000
#define LONG_PAYLOAD 60000

/* By which descriptor a frame enters, and by which it leaves. */
struct way {
    int in, out;
    const struct tcp_end *receiver; /* who answers ARP requests there; NULL: nobody asks */
    struct tcp_frame frame;
};

struct turns {
    double usec[WAYS_MAX][TURNS]; /* of CPU time, a frame */
};

/* Sends the frame until it arrives: networks take a moment to get ready, and bridges learn.
 * Returns it as it arrived; valid until the next one. */
const uint8_t *way_open(const struct way *way);
void turns_take(struct turns *turns, const struct way *ways, size_t n_ways, size_t n_frames);
/* The medians of the turns' differences and ratios. */
double turns_difference(const struct turns *turns, size_t a, size_t b);
double turns_ratio(const struct turns *turns, size_t a, size_t b);
/* Prints one line; more: its end. */
void turns_report(const char *what, const struct turns *turns, size_t ours, size_t bare,
                  const char *more);
