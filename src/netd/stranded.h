/* SPDX-License-Identifier: Apache-2.0 */
/* stranded.h - networks in a namespace that nobody can enter any more.
 *
 * When anchor, netd and every dnsmasq have died together, nobody is left inside; the
 * namespace lives on by its VMs' TAPs, and VMs on one network still reach each other. They
 * have no DHCP, no names and no way out any more, and nothing can be done about that but to
 * start them again. Their networks are made anew in another namespace, by other indices and
 * with other subnets: a guest must not meet its own address elsewhere. Both are given back
 * when the last such VM has ended (holders.h says what can be known of that).
 */
#pragma once
#include "journal.h"
#include "spawner.h"

#include <systemd/sd-event.h>

/* What the journal of a dead netd says, put right before ours begins. lost: of the networks
 * that it knew to be in the namespace, too. In the host's namespaces. */
void stranded_review(struct journal_state *old, bool lost);

struct stranded;

struct stranded_setup {
    sd_event *event; /* all borrowed */
    struct spawner *spawner;
    struct journal *journal;
    /* The last VM of one has ended; NULL: the last orphan. */
    void (*over)(void *arg, const struct netd_stranded *which);
    void *arg;
};

/* Those that the journal calls so, and orphans, if there are. */
int stranded_new(const struct stranded_setup *setup, const struct journal_state *state,
                 struct stranded **ret);
void stranded_free(struct stranded *stranded); /* NULL is fine */

/* Is there anything that netd must stay for? */
bool stranded_any(const struct stranded *stranded);
/* The one with this index; NULL: none. */
const struct netd_stranded *stranded_at(const struct stranded *stranded, uint32_t index);
/* For a journal that begins again. */
void stranded_describe(const struct stranded *stranded, struct journal_state *state);
