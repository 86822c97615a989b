/* SPDX-License-Identifier: Apache-2.0 */
/* fault_memory.h - memory that may fail, and is counted. */
#pragma once

/* jansson's memory is taken from here, too. Before its first use. */
void fault_in_jansson(void);

/* How many blocks our code has and did not give back. */
unsigned fault_memory_blocks(void);
/* Who asked for those that came since fault_memory_forget(). */
void fault_memory_show(void);
void fault_memory_forget(void);
