/* SPDX-License-Identifier: Apache-2.0 */
/* keep.h - the processes that netd cannot do without.
 *
 * Without the anchor the next netd could not enter the namespace: when it dies, another is
 * made, from inside. Without the spawner nothing can be started any more, and without the
 * hostside, of a system instance, nothing done in the host: when one of them dies, netd ends as
 * if it had been killed, and the next one adopts all that there is.
 */
#pragma once
#include "anchor.h"
#include "hostside.h"
#include "journal.h"
#include "spawner.h"

#include <systemd/sd-event.h>

struct keep;

struct keep_setup {
    sd_event *event; /* all borrowed */
    struct spawner *spawner;
    struct hostside *hostside; /* NULL: none, in a user instance */
    struct journal *journal;
    /* Which process it is now. */
    void (*anchor)(void *arg, const struct process *anchor);
    /* The spawner or the hostside is dead; which, in words. */
    void (*crippled)(void *arg, const char *who);
    void *arg;
};

/* anchor: the one that lives, by now in the journal; pid 0: none, and another is made. */
int keep_new(const struct keep_setup *setup, const struct process *anchor, struct keep **ret);
/* Both live on. NULL is fine. */
void keep_free(struct keep *keep);
