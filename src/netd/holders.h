/* SPDX-License-Identifier: Apache-2.0 */
/* holders.h - who has a TAP of a namespace that nobody can look into any more?
 *
 * A process that has a TAP open says so in /proc, and the TAP's name tells the network's index
 * (names.h). Seen are processes of our own user that do not hide from it: a VM that runs as
 * somebody else, or has forbidden to be looked at, is not found. And somebody else's TAP may be
 * called the same; whoever asks must be able to live with that.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

/* In the host's namespaces. One that holds any of these TAPs (tap_bit()) of the network with
 * this index; 0: none. */
pid_t holders_find(uint32_t index, uint64_t taps);
