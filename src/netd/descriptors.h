/* SPDX-License-Identifier: Apache-2.0 */
/* descriptors.h - what a process that netd forks keeps of netd's. */
#pragma once
#include <stddef.h>

#define DESCRIPTORS_KEPT 3

/* Only the standard descriptors stay and these, which become 3, 4, ...: a lock or socket of
 * netd's that lived on elsewhere would outlive netd. n: DESCRIPTORS_KEPT at most. */
void descriptors_keep_only(const int *fds, size_t n);
