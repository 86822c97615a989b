/* SPDX-License-Identifier: Apache-2.0 */
/* unistd.h of macOS, as far as it is used. */
#pragma once
#include_next <unistd.h>

#include <sys/auxv.h>

static inline int issetugid(void)
{
    return getauxval(AT_SECURE) != 0;
}
