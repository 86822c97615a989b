/* SPDX-License-Identifier: Apache-2.0 */
/* frames.h - what one frame costs on its way through the kernel: the frame filter and the detour
 * (src/netd/filter.c, src/netd/detour.c) against a bridge without either.
 */
#pragma once

void measure_frames(const char *broker_path);
