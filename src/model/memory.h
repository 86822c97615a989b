/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - what survives the restart of everything: subnets and identities.
 *
 *   { "version": 1,
 *     "networks": [                        least recently used first
 *       { "name": "shared",
 *         "subnet": "192.168.64.0/24",
 *         "prefix6": "fd12:3456:789a::/64",
 *         "interfaces": [                  least recently used first
 *           { "uid": 1000, "id": "…", "name": "web",
 *             "mac": "52:54:00:12:34:56", "ipv4": "192.168.64.2" } ] } ] }
 *
 * Pure: text in, text out; who reads and writes the file is linux/memory_file.h. A
 * damaged text never costs more than the damaged part.
 */
#pragma once
#include "addr.h"
#include "identity.h"
#include "net_def.h"

#include <stddef.h>
#include <sys/queue.h>

#define MEMORY_NETWORKS_MAX 256u

struct memory_network {
    TAILQ_ENTRY(memory_network) link;
    char name[NAME_SIZE];
    struct subnet4 subnet;  /* prefix 0: none yet */
    struct prefix6 prefix6; /* len 0: none yet */
    struct identity_table identities;
    bool in_use; /* never forgotten while set; not saved */
};

struct memory {
    TAILQ_HEAD(, memory_network) networks; /* least recently used first */
};

void memory_init(struct memory *memory);
void memory_clear(struct memory *memory);

struct memory_network *memory_find(const struct memory *memory, const char *name);

/* Finds or makes it, and makes it the most recently used. Beyond MEMORY_NETWORKS_MAX the
 * least recently used one that is not in use is forgotten. NULL: no memory, or all of
 * them are in use. */
struct memory_network *memory_use(struct memory *memory, const char *name);

/* What memory_parse() could not keep. */
struct memory_loss {
    unsigned count;  /* 0: everything was good */
    char first[160]; /* the first one: where and why */
};

/* Adds what the text remembers to an initialised, empty memory. */
void memory_parse(struct memory *memory, const char *text, size_t len, struct memory_loss *loss);

/* malloc'd text, the caller's; NULL without memory. Ephemeral identities and who is live
 * are not in it. */
char *memory_format(const struct memory *memory);
