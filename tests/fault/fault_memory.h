/* SPDX-License-Identifier: Apache-2.0 */
/* fault_memory.h - memory that may fail, and is counted. */
#pragma once

/* How many blocks our code (jansson's objects included) has and did not give back. */
unsigned fault_memory_blocks(void);
/* Who asked for those that came since fault_memory_forget(). */
void fault_memory_show(void);
void fault_memory_forget(void);
