/* SPDX-License-Identifier: Apache-2.0 */
/* time.h - Linux's, and the clock behind dispatch_time(), which SIM_TIME_SCALE turns. */
#pragma once
#include <stdint.h>
#include_next <time.h>

#define CLOCK_UPTIME_RAW 8

uint64_t clock_gettime_nsec_np(clockid_t clock);
