/* SPDX-License-Identifier: Apache-2.0 */
/* closer.h - closes descriptors elsewhere, because closing can take long.
 *
 * The last close of a TAP waits about 20 ms for the kernel to be sure that nobody
 * looks at the device any more (docs/performance.md). On the loop that would be 20 ms
 * of silence for every client. So one thread, started when it is first needed, does
 * nothing but close what it is given.
 */
#pragma once

/* Takes fd over; -1 is fine. Never blocks, except when no thread can be had: then it
 * closes fd itself. errno is kept. */
void closer_close(int fd);

/* Waits until everything is closed, and ends the thread. For the end of the program. */
void closer_stop(void);
