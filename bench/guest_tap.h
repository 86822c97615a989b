/* SPDX-License-Identifier: Apache-2.0 */
/* guest_tap.h - a TAP with a vnet header, as a VMM uses it. */
#pragma once

#define FRAME_MAX (65536 + 64) /* the largest segment, with its headers */

/* Makes it in this namespace, or opens it if it is there. The descriptor does not block. */
int guest_tap_open(const char *name);
/* What a guest's driver negotiates: unwritten checksums and segments are welcome. */
void guest_tap_welcome_offloads(int fd);
