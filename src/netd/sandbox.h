/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h - what netd keeps once it is inside its namespace, and nothing else. */
#pragma once

/* After anchor_enter(), before the first message of anybody is read: three
 * capabilities over our own namespace, no way to get more. */
int sandbox_enter(void);
