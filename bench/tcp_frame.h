/* SPDX-License-Identifier: Apache-2.0 */
/* tcp_frame.h - TCP frames with a vnet header, as a guest's kernel hands them to its VMM: checksum
 * unwritten, and a long one to be cut up by whoever needs that.
 */
#pragma once
#include "addr.h"
#include "guest_tap.h"

#include <stddef.h>

struct tcp_end {
    struct mac mac;
    struct address address;
    uint16_t port;
};

struct tcp_segment {
    uint8_t flags; /* TH_ACK ... */
    uint32_t seq, ack;
    size_t payload;
};

struct tcp_frame {
    size_t len;
    uint8_t bytes[FRAME_MAX]; /* from the vnet header on */
};

/* Both ends of one IP version. */
void tcp_frame_make(struct tcp_frame *frame, const struct tcp_end *from, const struct tcp_end *to,
                    struct tcp_segment segment);
/* Who sent this one, which tcp_frame_is() has seen, by IPv4. */
struct tcp_end tcp_frame_sender(const uint8_t *bytes);
/* Whether what was read is this frame, or what address translation has made of it. */
bool tcp_frame_is(const struct tcp_frame *frame, const uint8_t *bytes, size_t len);
