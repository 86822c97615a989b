/* SPDX-License-Identifier: Apache-2.0 */
/* descriptors.c - see descriptors.h. */
#include "descriptors.h"

#include <fcntl.h>
#include <unistd.h>

void descriptors_keep_only(const int *fds, size_t n)
{
    int high[DESCRIPTORS_KEPT];

    for (size_t i = 0; i < n; i++)
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 16);
    for (size_t i = 0; i < n; i++)
        (void)dup3(high[i], 3 + (int)i, O_CLOEXEC);
    (void)close_range(3 + (unsigned)n, ~0U, 0);
}
