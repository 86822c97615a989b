/* SPDX-License-Identifier: Apache-2.0 */
/* identity.h - who is who on one network: MAC, address and name by identity.
 *
 * An interface is known by its id, or, where the client gave none, by its name; with
 * neither it is ephemeral and forgotten when it ends. What is remembered belongs to
 * the uid that asked first. Within a network every id, name, MAC and address has at
 * most one identity, live or remembered.
 *
 * What the definition reserves outranks what is remembered: the reserved MAC gets the
 * reserved address and name, whoever asks for the reserved name gets the reserved MAC, and
 * what others remember of it they have lost. Only a live interface keeps it, until it ends.
 *
 * The table is a list in order of last use, least recent first: that order is all the
 * bookkeeping which reclaiming needs, and the order of a saved list is the order of
 * use. Linear searches are meant: a network has tens of interfaces, seldom hundreds,
 * and IDENTITIES_MAX bounds the worst.
 */
#pragma once
#include "addr.h"
#include "net_def.h"
#include "random.h"
#include "reserved.h"
#include "status.h"

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#define IFACE_ID_SIZE 64

/* What one user can make us remember of one network, and everybody together. */
#define IDENTITIES_PER_UID 512u
#define IDENTITIES_MAX     2048u

struct identity {
    TAILQ_ENTRY(identity) link;
    uid_t uid;
    char id[IFACE_ID_SIZE]; /* the client's, or a UUID of ours; never "" */
    char name[NAME_SIZE];   /* "": none */
    struct mac mac;         /* all zero: another identity took it over */
    uint32_t ipv4;          /* 0: none now; one is found at the next start */
    bool live;
    bool ephemeral;
};

TAILQ_HEAD(identity_list, identity);

struct identity_table {
    struct subnet4 subnet;
    struct identity_list list; /* least recently used first */
    struct reserved reserved;
};

void identity_table_init(struct identity_table *table);
void identity_table_clear(struct identity_table *table);

/* The network is in this subnet from now on. Remembered addresses that are not of it
 * are given up. */
void identity_table_move(struct identity_table *table, struct subnet4 subnet);

/* What its definition reserves from now on; copied. 0 or -ENOMEM; then nothing has changed. */
int identity_table_reserve(struct identity_table *table, const struct reservation *list, size_t n);

struct identity_wish {
    uid_t uid;
    const char *id;        /* NULL: not given */
    const char *name;      /* NULL: not given */
    const struct mac *mac; /* NULL: remembered or random */
};

/* Starts an interface: finds or makes its identity and marks it live. What the client
 * gives anew (a name beside an id, a MAC) replaces what was remembered, and another
 * identity of the same user that is not live loses it.
 *
 * -EEXIST         the identity, its name or its MAC is live already
 * -EPERM          id, name or MAC belong to another user
 *                 or the name and the MAC are reserved for others
 * -EADDRINUSE     the reserved address is still another live interface's
 * -EINVAL         the name is the network's own
 * -EDQUOT         this user has IDENTITIES_PER_UID live ones
 * -EADDRNOTAVAIL  every address of the subnet is live
 * -ENOMEM
 * *ret is borrowed; valid until identity_end(). On error nothing has changed but what
 * reclaiming forgot, and failure (may be NULL) has the words. */
int identity_start(struct identity_table *table, const struct identity_wish *wish,
                   const struct random_source *random, struct identity **ret,
                   struct failure *failure);

/* The interface is gone. An ephemeral identity is freed. */
void identity_end(struct identity_table *table, struct identity *identity);

/* A live interface that exists already, found after a restart. It is matched with what
 * is remembered by its MAC; where the two disagree, what is live is right. 0 or -ENOMEM. */
int identity_adopt(struct identity_table *table, const struct identity *found,
                   struct identity **ret);

/* One that memory.c read. Checked: -EINVAL (form, or an address outside the subnet),
 * -EEXIST (id, name, MAC or address twice), -EDQUOT, -ENOMEM. */
int identity_remember(struct identity_table *table, const struct identity *read);

struct identity *identity_by_id(const struct identity_table *table, const char *id);

/* Live ones. */
unsigned identity_count_live(const struct identity_table *table);
