/* SPDX-License-Identifier: Apache-2.0 */
/* memory.json: whatever is read can be written, and what was written is read whole. */
#include "fuzz.h"
#include "memory.h"

#include <string.h>

static void check(const struct memory *memory)
{
    const struct memory_network *n;
    const struct identity *i;

    TAILQ_FOREACH (n, &memory->networks, link) {
        MUST(name_valid(n->name));
        TAILQ_FOREACH (i, &n->identities.list, link) {
            MUST(i->id[0] && memchr(i->id, '\0', sizeof i->id));
            MUST(!i->name[0] || (name_valid(i->name) && !vm_name_reserved(i->name)));
            MUST(i->ipv4 == 0 || subnet4_contains(n->subnet, i->ipv4));
            MUST(!i->live && !i->ephemeral);
        }
    }
}

FUZZ(data, size)
{
    struct memory first, second;
    struct memory_loss loss;

    memory_init(&first);
    memory_parse(&first, (const char *)data, size, &loss);
    check(&first);
    char *text = memory_format(&first);
    MUST(text);

    memory_init(&second);
    memory_parse(&second, text, strlen(text), &loss);
    MUST(loss.count == 0);
    char *again = memory_format(&second);
    MUST(again && strcmp(text, again) == 0);

    free(again);
    free(text);
    memory_clear(&second);
    memory_clear(&first);
}
