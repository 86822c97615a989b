/* SPDX-License-Identifier: Apache-2.0 */
/* identity.c - the rules of identity.h, in the order in which they can refuse.
 *
 * identity_start() first asks everything that can be refused, then makes room, and
 * changes the table only when nothing can fail any more. Room is made by forgetting
 * what was used longest ago by the user who has most: an address before an identity,
 * and never one of a live interface.
 */
#include "identity.h"

#include "mem.h"
#include "str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct mac mac_none;

const char *uuid_random(const struct random_source *random, char text[static UUID_TEXT])
{
    unsigned char b[16];
    random->fill(random->arg, b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    (void)snprintf(text, UUID_TEXT,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
    return text;
}

void identity_table_init(struct identity_table *table)
{
    *table = (struct identity_table){ 0 };
    TAILQ_INIT(&table->list);
}

static void forget(struct identity_table *table, struct identity *identity)
{
    TAILQ_REMOVE(&table->list, identity, link);
    free(identity);
}

void identity_table_clear(struct identity_table *table)
{
    struct identity *i;
    while ((i = TAILQ_FIRST(&table->list)))
        forget(table, i);
}

/* ---- looking up -------------------------------------------------------------- */

struct identity *identity_by_id(const struct identity_table *table, const char *id)
{
    struct identity *i;
    TAILQ_FOREACH (i, &table->list, link)
        if (strcmp(i->id, id) == 0)
            return i;
    return NULL;
}

static struct identity *by_name(const struct identity_table *table, const char *name)
{
    struct identity *i;
    TAILQ_FOREACH (i, &table->list, link)
        if (i->name[0] != '\0' && strcmp(i->name, name) == 0)
            return i;
    return NULL;
}

static struct identity *by_mac(const struct identity_table *table, struct mac mac)
{
    struct identity *i;
    if (mac_equal(mac, mac_none))
        return NULL;
    TAILQ_FOREACH (i, &table->list, link)
        if (mac_equal(i->mac, mac))
            return i;
    return NULL;
}

static struct identity *by_ipv4(const struct identity_table *table, uint32_t ipv4)
{
    struct identity *i;
    if (ipv4 == 0)
        return NULL;
    TAILQ_FOREACH (i, &table->list, link)
        if (i->ipv4 == ipv4)
            return i;
    return NULL;
}

unsigned identity_count_live(const struct identity_table *table)
{
    unsigned n = 0;
    struct identity *i;
    TAILQ_FOREACH (i, &table->list, link)
        n += i->live;
    return n;
}

/* ---- whom to forget ---------------------------------------------------------- */

static bool is_any(const struct identity *i)
{
    (void)i;
    return true;
}

static bool has_address(const struct identity *i)
{
    return i->ipv4 != 0;
}

static unsigned count_of_user(const struct identity_table *table, uid_t uid,
                              bool (*counts)(const struct identity *))
{
    unsigned n = 0;
    struct identity *i;
    TAILQ_FOREACH (i, &table->list, link)
        n += i->uid == uid && counts(i);
    return n;
}

/* Of the user who has most of what counts, the one that is not live and was used longest
 * ago; NULL: all are live. So no user can make others' machines lose their addresses by
 * having ever more of its own. */
static struct identity *oldest_of_the_greediest(const struct identity_table *table,
                                                bool (*counts)(const struct identity *))
{
    struct identity *i, *oldest = NULL;
    unsigned most = 0;
    TAILQ_FOREACH (i, &table->list, link) {
        if (i->live || !counts(i) || (oldest && i->uid == oldest->uid))
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

/* What VMs can have: from the second usable address (the first is the gateway's) to the
 * last but one (the last is reserved for the host). */
static bool vm_range(struct subnet4 s, uint32_t *first, uint32_t *last)
{
    if (s.prefix == 0 || s.prefix > 29)
        return false;
    *first = subnet4_gateway(s) + 1;
    *last = subnet4_host(s) - 1;
    return *first <= *last;
}

static bool is_vm_address(struct subnet4 s, uint32_t ipv4)
{
    uint32_t first, last;
    return vm_range(s, &first, &last) && ipv4 >= first && ipv4 <= last;
}

void identity_table_move(struct identity_table *table, struct subnet4 subnet)
{
    struct identity *i;
    table->subnet = subnet;
    TAILQ_FOREACH (i, &table->list, link)
        if (!is_vm_address(subnet, i->ipv4))
            i->ipv4 = 0;
}

/* The lowest address that nobody has, live or remembered. n identities cannot occupy
 * more than the first n addresses, so one bit each for n + 1 is enough. */
static uint32_t lowest_free(const struct identity_table *table, uint32_t first, uint32_t last)
{
    unsigned char used[(IDENTITIES_MAX + 8) / 8] = { 0 };
    struct identity *i;
    TAILQ_FOREACH (i, &table->list, link)
        if (i->ipv4 >= first && i->ipv4 - first <= IDENTITIES_MAX)
            used[(i->ipv4 - first) / 8] |= (unsigned char)(1u << (i->ipv4 - first) % 8);
    for (uint32_t n = 0; n <= IDENTITIES_MAX && n <= last - first; n++)
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

static int find_address(struct identity_table *table, const struct identity *mine, uint32_t *ret,
                        struct failure *failure)
{
    uint32_t first, last, ipv4 = 0;
    char text[SUBNET4_TEXT];

    if (mine && mine->ipv4 != 0) {
        *ret = mine->ipv4;
        return 0;
    }
    if (vm_range(table->subnet, &first, &last)) {
        ipv4 = lowest_free(table, first, last);
        if (ipv4 == 0)
            ipv4 = reclaim(table);
    }
    if (ipv4 == 0)
        return failure_set(failure, -EADDRNOTAVAIL, "every address of %s is in use by a running VM",
                           subnet4_format(table->subnet, text));
    *ret = ipv4;
    return 0;
}

static int find_mac(const struct identity_table *table, const struct identity *mine,
                    const struct random_source *random, struct mac *ret, struct failure *failure)
{
    if (mine && !mac_equal(mine->mac, mac_none)) {
        *ret = mine->mac;
        return 0;
    }
    for (int tries = 0; tries < 100; tries++) { /* 2048 of 16 million: one is enough */
        struct mac mac = { { 0x52, 0x54, 0x00 } };
        random->fill(random->arg, mac.b + 3, 3);
        if (!by_mac(table, mac)) {
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
        h.of_name = by_name(table, wish->name);
        r = may_take(wish, h.of_name, "name", wish->name, failure);
    }
    if (r == 0 && wish->mac) {
        h.of_mac = by_mac(table, *wish->mac);
        r = may_take(wish, h.of_mac, "MAC address", mac_format(*wish->mac, text), failure);
    }
    if (!wish->id)
        h.mine = h.of_name;
    *ret = h;
    return r;
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
    forget(table, oldest);
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

static void take_over(struct identity *mine, const struct identity_wish *wish,
                      const struct holders *h)
{
    if (h->of_name && h->of_name != mine)
        h->of_name->name[0] = '\0';
    if (h->of_mac && h->of_mac != mine)
        h->of_mac->mac = mac_none;
    if (wish->name)
        (void)str_copy(mine->name, sizeof mine->name, wish->name);
}

int identity_start(struct identity_table *table, const struct identity_wish *wish,
                   const struct random_source *random, struct identity **ret,
                   struct failure *failure)
{
    struct holders h = { 0 };
    uint32_t ipv4 = 0;
    struct mac mac = wish->mac ? *wish->mac : mac_none;
    AUTO_FREE struct identity *fresh = NULL;

    int r = check_wish(table, wish, &h, failure);
    if (r == 0 && !h.mine) {
        r = make_identity(table, wish, random, &fresh, failure);
        if (r == 0)
            r = check_wish(table, wish, &h, failure); /* making room may have freed a holder */
    }
    if (r == 0 && !wish->mac)
        r = find_mac(table, h.mine, random, &mac, failure);
    if (r == 0)
        r = find_address(table, h.mine, &ipv4, failure);
    if (r < 0)
        return r;

    struct identity *mine = h.mine;
    if (mine)
        TAILQ_REMOVE(&table->list, mine, link);
    else
        mine = take_ptr(&fresh);
    take_over(mine, wish, &h);
    mine->mac = mac;
    mine->ipv4 = ipv4;
    mine->live = true;
    TAILQ_INSERT_TAIL(&table->list, mine, link);
    *ret = mine;
    return 0;
}

void identity_end(struct identity_table *table, struct identity *identity)
{
    if (identity->ephemeral) {
        forget(table, identity);
        return;
    }
    identity->live = false;
    TAILQ_REMOVE(&table->list, identity, link);
    TAILQ_INSERT_TAIL(&table->list, identity, link);
}

/* ---- what comes from elsewhere ------------------------------------------------ */

/* Whatever somebody else has of what a live interface has, they lose. */
static void displace(struct identity_table *table, const struct identity *keep,
                     const struct identity *found)
{
    struct identity *other = found->name[0] != '\0' ? by_name(table, found->name) : NULL;
    if (other && other != keep)
        other->name[0] = '\0';
    other = by_ipv4(table, found->ipv4);
    if (other && other != keep)
        other->ipv4 = 0;
    other = identity_by_id(table, found->id);
    if (other && other != keep)
        forget(table, other);
}

int identity_adopt(struct identity_table *table, const struct identity *found,
                   struct identity **ret)
{
    struct identity *i = by_mac(table, found->mac), *same = identity_by_id(table, found->id);
    if (same && same != i && same->live)
        return -EEXIST; /* one id, two live MACs: not from a netd of ours */

    bool known = i != NULL;
    if (known) {
        TAILQ_REMOVE(&table->list, i, link);
    } else {
        i = calloc(1, sizeof *i);
        if (!i)
            return -ENOMEM;
    }
    displace(table, i, found);
    bool ephemeral = known ? i->ephemeral : found->name[0] == '\0';
    *i = *found;
    i->live = true;
    i->ephemeral = ephemeral;
    TAILQ_INSERT_TAIL(&table->list, i, link);
    *ret = i;
    return 0;
}

static bool id_valid(const char *id)
{
    size_t len = strlen(id);
    for (size_t i = 0; i < len; i++)
        if (id[i] <= ' ' || id[i] >= 0x7f)
            return false;
    return len > 0;
}

int identity_remember(struct identity_table *table, const struct identity *read)
{
    bool has_name = read->name[0] != '\0', has_mac = !mac_equal(read->mac, mac_none);
    struct identity *other;
    unsigned of_uid = 0, all = 0;

    if (!id_valid(read->id) ||
        (has_name && (!name_valid(read->name) || vm_name_reserved(read->name))) ||
        (has_mac && !mac_is_unicast(read->mac)) ||
        (read->ipv4 != 0 && !is_vm_address(table->subnet, read->ipv4)))
        return -EINVAL;
    if (identity_by_id(table, read->id) || (has_name && by_name(table, read->name)) ||
        by_mac(table, read->mac) || by_ipv4(table, read->ipv4))
        return -EEXIST;
    TAILQ_FOREACH (other, &table->list, link) {
        all++;
        of_uid += other->uid == read->uid;
    }
    if (of_uid >= IDENTITIES_PER_UID || all >= IDENTITIES_MAX)
        return -EDQUOT;

    struct identity *i = malloc(sizeof *i);
    if (!i)
        return -ENOMEM;
    *i = *read;
    i->live = i->ephemeral = false;
    TAILQ_INSERT_TAIL(&table->list, i, link);
    return 0;
}
