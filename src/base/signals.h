/* SPDX-License-Identifier: Apache-2.0 */
/* signals.h - a process that we fork is to end by a signal, whatever its parent made of them. */
#pragma once

/* Every signal does what it does by default, and none is blocked. */
void signals_default(void);
