/* SPDX-License-Identifier: Apache-2.0 */
/* names.h - how the things of a network are named: by its index, and by nothing that a client
 * chose.
 *
 * Network 3 is bridge vb3 with TAPs vt3.0, vt3.1, ..., all in interface group 4 (0 is
 * everybody's), chain n3 and directory netd/3.
 */
#pragma once
#include <stdint.h>

/* Some TAPs of one network, as bits: of vt3.0 the lowest, and so on. The last bit stands for
 * all from vt3.62 on. */
static inline uint64_t tap_bit(unsigned k)
{
    return UINT64_C(1) << (k < 62 ? k : 62);
}

static inline uint32_t group_of(uint32_t index)
{
    return index + 1;
}
