/* SPDX-License-Identifier: Apache-2.0 */
/* identity.c - the table: who is in it, what is reserved, and what comes from elsewhere.
 * identity_start.c has the rules by which an interface becomes somebody.
 */
#include "identity_part.h"

#include "mem.h"
#include "str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct mac identity_no_mac;

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

void identity_forget(struct identity_table *table, struct identity *identity)
{
    TAILQ_REMOVE(&table->list, identity, link);
    free(identity);
}

void identity_table_clear(struct identity_table *table)
{
    struct identity *i;
    while ((i = TAILQ_FIRST(&table->list)))
        identity_forget(table, i);
    reserved_clear(&table->reserved);
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

struct identity *identity_by_name(const struct identity_table *table, const char *name)
{
    struct identity *i;
    TAILQ_FOREACH (i, &table->list, link)
        if (i->name[0] != '\0' && strcmp(i->name, name) == 0)
            return i;
    return NULL;
}

struct identity *identity_by_mac(const struct identity_table *table, struct mac mac)
{
    struct identity *i;
    if (mac_equal(mac, identity_no_mac))
        return NULL;
    TAILQ_FOREACH (i, &table->list, link)
        if (mac_equal(i->mac, mac))
            return i;
    return NULL;
}

struct identity *identity_by_ipv4(const struct identity_table *table, uint32_t ipv4)
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

/* ---- addresses --------------------------------------------------------------- */

bool identity_vm_range(struct subnet4 s, uint32_t *first, uint32_t *last)
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
    return identity_vm_range(s, &first, &last) && ipv4 >= first && ipv4 <= last;
}

void identity_table_move(struct identity_table *table, struct subnet4 subnet)
{
    struct identity *i;
    table->subnet = subnet;
    reserved_move(&table->reserved, subnet);
    TAILQ_FOREACH (i, &table->list, link)
        if (!is_vm_address(subnet, i->ipv4))
            i->ipv4 = 0;
}

/* ---- what the definition reserves --------------------------------------------- */

void identity_give_up_reserved(const struct identity_table *table, struct identity *i)
{
    const struct reservation *r = reserved_ipv4(&table->reserved, i->ipv4);
    if (r && !mac_equal(r->mac, i->mac))
        i->ipv4 = 0;
    r = reserved_name(&table->reserved, i->name);
    if (r && !mac_equal(r->mac, i->mac))
        i->name[0] = '\0';
}

int identity_table_reserve(struct identity_table *table, const struct reservation *list, size_t n)
{
    struct identity *i;
    int r = reserved_copy(&table->reserved, list, n, table->subnet);
    if (r < 0)
        return r;
    TAILQ_FOREACH (i, &table->list, link)
        if (!i->live)
            identity_give_up_reserved(table, i);
    return 0;
}

void identity_end(struct identity_table *table, struct identity *identity)
{
    if (identity->ephemeral) {
        identity_forget(table, identity);
        return;
    }
    identity->live = false;
    identity_give_up_reserved(table, identity);
    TAILQ_REMOVE(&table->list, identity, link);
    TAILQ_INSERT_TAIL(&table->list, identity, link);
}

/* ---- what comes from elsewhere ------------------------------------------------ */

/* Whatever somebody else has of what a live interface has, they lose. */
static void displace(struct identity_table *table, const struct identity *keep,
                     const struct identity *found)
{
    struct identity *other = found->name[0] != '\0' ? identity_by_name(table, found->name) : NULL;
    if (other && other != keep)
        other->name[0] = '\0';
    other = identity_by_ipv4(table, found->ipv4);
    if (other && other != keep)
        other->ipv4 = 0;
    other = identity_by_id(table, found->id);
    if (other && other != keep)
        identity_forget(table, other);
}

int identity_adopt(struct identity_table *table, const struct identity *found,
                   struct identity **ret)
{
    struct identity *i = identity_by_mac(table, found->mac),
                    *same = identity_by_id(table, found->id);
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
    bool has_name = read->name[0] != '\0', has_mac = !mac_equal(read->mac, identity_no_mac);
    struct identity *other;
    unsigned of_uid = 0, all = 0;

    if (!id_valid(read->id) ||
        (has_name && (!name_valid(read->name) || vm_name_reserved(read->name))) ||
        (has_mac && !mac_is_unicast(read->mac)) ||
        (read->ipv4 != 0 && !is_vm_address(table->subnet, read->ipv4)))
        return -EINVAL;
    if (identity_by_id(table, read->id) || (has_name && identity_by_name(table, read->name)) ||
        identity_by_mac(table, read->mac) || identity_by_ipv4(table, read->ipv4))
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
