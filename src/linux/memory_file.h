/* SPDX-License-Identifier: Apache-2.0 */
/* memory_file.h - keeps memory.json beside the memory (model/memory.h).
 *
 * A change is written a moment later, so that a burst of starting VMs costs one write,
 * and clients none. Whoever is killed in that moment forgets nothing that matters: what
 * is live is told by netd's inventory. A full disk costs one log line.
 */
#pragma once
#include "memory.h"

#include <systemd/sd-event.h>

struct memory_file;

/* memory: initialised and empty, filled from the file; borrowed, as are event and dirfd.
 * 0 or -ENOMEM; a damaged or unreadable file is logged. */
int memory_file_open(sd_event *event, int dirfd, struct memory *memory, struct memory_file **ret);

/* The memory has changed. NULL is fine. */
void memory_file_changed(struct memory_file *file);

/* Writes what is not yet written. NULL is fine. */
void memory_file_close(struct memory_file *file);
