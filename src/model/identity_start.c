/* SPDX-License-Identifier: Apache-2.0 */
/* identity_start.c - who an interface will be, when it starts.
 *
 * identity_start() first asks everything that can be refused, then makes room, and
 * changes the table only when nothing can fail any more. Room is made by forgetting
 * what was used longest ago by the user who has most: an address before an identity,
 * and never one of a live interface.
 */
#include "identity_part.h"

#include "mem.h"
#include "str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- whom to forget ---------------------------------------------------------- */

static bool is_any(const struct identity_table *table, const struct identity *i)
{
    (void)table;
    (void)i;
    return true;
}

/* One that somebody else could have: what is reserved waits for its MAC. */
static bool has_address(const struct identity_table *table, const struct identity *i)
{
    return i->ipv4 != 0 && !reserved_ipv4(&table->reserved, i->ipv4);
}

static unsigned count_of_user(const struct identity_table *table, uid_t uid,
                              bool (*counts)(const struct identity_table *,
                                             const struct identity *))
{
    unsigned n = 0;
    struct identity *i;
    TAILQ_FOREACH (i, &table->list, link)
        n += i->uid == uid && counts(table, i);
    return n;
}

/* Of the user who has most of what counts, the one that is not live and was used longest
 * ago; NULL: all are live. So no user can make others' machines lose their addresses by
 * having ever more of its own. */
static struct identity *oldest_of_the_greediest(const struct identity_table *table,
                                                bool (*counts)(const struct identity_table *,
                                                               const struct identity *))
{
    struct identity *i, *oldest = NULL;
    unsigned most = 0;
    TAILQ_FOREACH (i, &table->list, link) {
        if (i->live || !counts(table, i) || (oldest && i->uid == oldest->uid))
            continue;
        unsigned n = count_of_user(table, i->uid, counts);
        if (n > most) {
            oldest = i;
            most = n;
        }
    }
    return oldest;
}

/* ---- addresses --------------------------------------------------------------- */

/* Identities and reservations cannot occupy more addresses than there are of them; so one
 * bit each for one more is enough. */
#define TAKEN_MAX (IDENTITIES_MAX + RESERVATIONS_MAX)

static void mark(unsigned char *used, uint32_t first, uint32_t ipv4)
{
    if (ipv4 >= first && ipv4 - first <= TAKEN_MAX)
        used[(ipv4 - first) / 8] |= (unsigned char)(1u << (ipv4 - first) % 8);
}

/* The lowest address that nobody has, live, remembered or reserved. */
static uint32_t lowest_free(const struct identity_table *table, uint32_t first, uint32_t last)
{
    unsigned char used[(TAKEN_MAX + 8) / 8] = { 0 };
    struct identity *i;
    TAILQ_FOREACH (i, &table->list, link)
        mark(used, first, i->ipv4);
    for (size_t k = 0; k < table->reserved.n; k++)
        mark(used, first, table->reserved.list[k].ipv4);
    for (uint32_t n = 0; n <= TAKEN_MAX && n <= last - first; n++)
        if (!(used[n / 8] & (1u << n % 8)))
            return first + n;
    return 0;
}

static uint32_t reclaim(struct identity_table *table)
{
    struct identity *i = oldest_of_the_greediest(table, has_address);
    if (!i)
        return 0;
    uint32_t ipv4 = i->ipv4;
    i->ipv4 = 0;
    return ipv4;
}

/* The reserved address is nobody else's, unless a live interface has had it all along. */
static int take_reserved(const struct identity_table *table, const struct identity *mine,
                         const struct reservation *own, uint32_t *ret, struct failure *failure)
{
    const struct identity *other = identity_by_ipv4(table, own->ipv4);
    char text[ADDR4_TEXT];

    if (other && other != mine && other->live)
        return failure_set(failure, -EADDRINUSE,
                           "its reserved address %s is still that of the running VM '%s'; stop "
                           "that one first",
                           addr4_format(own->ipv4, text),
                           other->name[0] != '\0' ? other->name : other->id);
    *ret = own->ipv4;
    return 0;
}

static int find_address(struct identity_table *table, const struct identity *mine,
                        const struct reservation *own, uint32_t *ret, struct failure *failure)
{
    uint32_t first, last, ipv4 = 0;
    char text[SUBNET4_TEXT];

    if (own)
        return take_reserved(table, mine, own, ret, failure);
    if (mine && mine->ipv4 != 0 && !reserved_ipv4(&table->reserved, mine->ipv4)) {
        *ret = mine->ipv4;
        return 0;
    }
    if (identity_vm_range(table->subnet, &first, &last)) {
        ipv4 = lowest_free(table, first, last);
        if (ipv4 == 0)
            ipv4 = reclaim(table);
    }
    if (ipv4 == 0)
        return failure_set(failure, -EADDRNOTAVAIL,
                           "every address of %s is in use by a running VM or reserved",
                           subnet4_format(table->subnet, text));
    *ret = ipv4;
    return 0;
}

static int find_mac(const struct identity_table *table, const struct identity *mine,
                    const struct random_source *random, struct mac *ret, struct failure *failure)
{
    if (mine && !mac_equal(mine->mac, identity_no_mac)) {
        *ret = mine->mac;
        return 0;
    }
    for (int tries = 0; tries < 100; tries++) { /* 2048 of 16 million: one is enough */
        struct mac mac = { { 0x52, 0x54, 0x00 } };
        random->fill(random->arg, mac.b + 3, 3);
        if (!identity_by_mac(table, mac) && !reserved_mac(&table->reserved, mac)) {
            *ret = mac;
            return 0;
        }
    }
    return failure_set(failure, -EADDRNOTAVAIL, "no free MAC address found");
}

/* ---- starting ---------------------------------------------------------------- */

/* May `wish` have what `other` has? what, value: "name", "web". */
static int may_take(const struct identity_wish *wish, const struct identity *other,
                    const char *what, const char *value, struct failure *failure)
{
    if (!other)
        return 0;
    if (other->uid != wish->uid)
        return failure_set(failure, -EPERM, "%s '%s' belongs to another user; choose another one",
                           what, value);
    if (other->live)
        return failure_set(failure, -EEXIST, "%s '%s' is already in use by a running VM", what,
                           value);
    return 0;
}

struct holders {
    struct identity *mine, *of_name, *of_mac;
};

static int check_wish(const struct identity_table *table, const struct identity_wish *wish,
                      struct holders *ret, struct failure *failure)
{
    struct holders h = { 0 };
    char text[MAC_TEXT];
    int r = 0;

    if (wish->name && vm_name_reserved(wish->name))
        return failure_set(failure, -EINVAL, "the name '%s' is reserved for the network itself",
                           wish->name);
    if (wish->id) {
        h.mine = identity_by_id(table, wish->id);
        r = may_take(wish, h.mine, "interface", wish->id, failure);
    }
    if (r == 0 && wish->name) {
        h.of_name = identity_by_name(table, wish->name);
        r = may_take(wish, h.of_name, "name", wish->name, failure);
    }
    if (r == 0 && wish->mac) {
        h.of_mac = identity_by_mac(table, *wish->mac);
        r = may_take(wish, h.of_mac, "MAC address", mac_format(*wish->mac, text), failure);
    }
    if (!wish->id)
        h.mine = h.of_name;
    *ret = h;
    return r;
}

/* ---- what the definition reserves --------------------------------------------- */

/* The MAC that a wish will have, as far as that is known before anything is decided. */
static struct mac mac_of_wish(const struct identity_table *table, const struct identity_wish *wish)
{
    const struct identity *mine = NULL;
    if (wish->mac)
        return *wish->mac;
    if (wish->id)
        mine = identity_by_id(table, wish->id);
    else if (wish->name)
        mine = identity_by_name(table, wish->name);
    return mine && mine->uid == wish->uid ? mine->mac : identity_no_mac;
}

/* A name that is reserved brings its MAC, a MAC its name. ret: a wish that has both; *ret_r:
 * the reservation that it is about, NULL: none. */
static int complete_wish(const struct identity_table *table, const struct identity_wish *wish,
                         struct identity_wish *ret, const struct reservation **ret_r,
                         struct failure *failure)
{
    const struct reservation *r = wish->name ? reserved_name(&table->reserved, wish->name) : NULL;
    char text[MAC_TEXT];

    *ret = *wish;
    if (r && wish->mac && !mac_equal(*wish->mac, r->mac))
        return failure_set(failure, -EEXIST, "the name '%s' is reserved for MAC address %s",
                           wish->name, mac_format(r->mac, text));
    if (!r)
        r = reserved_mac(&table->reserved, mac_of_wish(table, wish));
    if (r && r->name[0] != '\0' && wish->name && strcmp(wish->name, r->name) != 0)
        return failure_set(failure, -EEXIST,
                           "MAC address %s is reserved for the name '%s'; ask for that name, or "
                           "for none",
                           mac_format(r->mac, text), r->name);
    if (r) {
        ret->mac = &r->mac;
        ret->name = r->name[0] != '\0' ? r->name : wish->name;
    }
    *ret_r = r;
    return 0;
}

static struct identity *oldest_of_user(const struct identity_table *table, uid_t uid)
{
    struct identity *i;
    TAILQ_FOREACH (i, &table->list, link)
        if (i->uid == uid && !i->live)
            return i;
    return NULL;
}

static int forget_one(struct identity_table *table, struct identity *oldest, unsigned n,
                      struct failure *failure)
{
    if (!oldest)
        return failure_set(failure, -EDQUOT, "%u interfaces are running already", n);
    identity_forget(table, oldest);
    return 0;
}

/* Room for one identity more: this user's own, then everybody's. */
static int make_room(struct identity_table *table, uid_t uid, struct failure *failure)
{
    unsigned n = count_of_user(table, uid, is_any), all = 0;
    struct identity *i;

    if (n >= IDENTITIES_PER_UID)
        return forget_one(table, oldest_of_user(table, uid), n, failure);
    TAILQ_FOREACH (i, &table->list, link)
        all++;
    if (all >= IDENTITIES_MAX)
        return forget_one(table, oldest_of_the_greediest(table, is_any), all, failure);
    return 0;
}

static int make_identity(struct identity_table *table, const struct identity_wish *wish,
                         const struct random_source *random, struct identity **ret,
                         struct failure *failure)
{
    int r = make_room(table, wish->uid, failure);
    if (r < 0)
        return r;

    struct identity *i = calloc(1, sizeof *i);
    if (!i)
        return failure_set(failure, -ENOMEM, "out of memory");
    i->uid = wish->uid;
    if (!wish->id)
        (void)uuid_random(random, i->id);
    else if (str_copy(i->id, sizeof i->id, wish->id) < 0) {
        free(i);
        return failure_set(failure, -EINVAL, "the interface id is too long");
    }
    i->ephemeral = !wish->id && !wish->name;
    *ret = i;
    return 0;
}

/* All that identity_start() decides before it changes anything. */
struct decision {
    struct identity_wish wish; /* with what is reserved for it */
    struct holders holders;
    struct mac mac;
    uint32_t ipv4;
};

/* fresh: filled in where nobody has this identity yet. */
static int decide(struct identity_table *table, const struct identity_wish *asked,
                  const struct random_source *random, struct decision *d, struct identity **fresh,
                  struct failure *failure)
{
    const struct reservation *own = NULL;
    struct identity_wish *wish = &d->wish;
    struct holders *h = &d->holders;

    int r = complete_wish(table, asked, wish, &own, failure);
    if (r == 0)
        r = check_wish(table, wish, h, failure);
    if (r == 0 && !h->mine) {
        r = make_identity(table, wish, random, fresh, failure);
        if (r == 0)
            r = check_wish(table, wish, h, failure); /* making room may have freed a holder */
    }
    if (r == 0 && wish->mac)
        d->mac = *wish->mac;
    else if (r == 0)
        r = find_mac(table, h->mine, random, &d->mac, failure);
    return r < 0 ? r : find_address(table, h->mine, own, &d->ipv4, failure);
}

static void take_over(const struct identity_table *table, struct identity *mine,
                      const struct decision *d)
{
    struct identity *of_name = d->holders.of_name, *of_mac = d->holders.of_mac;

    if (of_name && of_name != mine)
        of_name->name[0] = '\0';
    if (of_mac && of_mac != mine) {
        of_mac->mac = identity_no_mac;
        identity_give_up_reserved(table, of_mac);
    }
    if (d->wish.name)
        (void)str_copy(mine->name, sizeof mine->name, d->wish.name);
    mine->mac = d->mac;
    mine->ipv4 = d->ipv4;
    identity_give_up_reserved(table, mine);
}

int identity_start(struct identity_table *table, const struct identity_wish *wish,
                   const struct random_source *random, struct identity **ret,
                   struct failure *failure)
{
    struct decision d = { .ipv4 = 0 };
    AUTO_FREE struct identity *fresh = NULL;

    int r = decide(table, wish, random, &d, &fresh, failure);
    if (r < 0)
        return r;

    struct identity *mine = d.holders.mine;
    if (mine)
        TAILQ_REMOVE(&table->list, mine, link);
    else
        mine = take_ptr(&fresh);
    take_over(table, mine, &d);
    mine->live = true;
    TAILQ_INSERT_TAIL(&table->list, mine, link);
    *ret = mine;
    return 0;
}
