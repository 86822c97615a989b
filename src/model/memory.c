/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - the broker's memory as JSON; see memory.h.
 *
 * Reading trusts nothing: the file may be cut, edited by hand or of a later version.
 * Each network and each interface stands for itself; one that does not make sense is
 * counted, the first is described, and the rest is kept. When something is forgotten,
 * a VM gets a new address once; when the broker refused to start, nobody got any.
 */
#include "memory.h"

#include "json_text.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MEMORY_VERSION 1

DEFINE_AUTO(json_t *, json_decref);

void memory_init(struct memory *memory)
{
    TAILQ_INIT(&memory->networks);
}

static void forget(struct memory *memory, struct memory_network *network)
{
    TAILQ_REMOVE(&memory->networks, network, link);
    identity_table_clear(&network->identities);
    free(network);
}

void memory_clear(struct memory *memory)
{
    struct memory_network *n;
    while ((n = TAILQ_FIRST(&memory->networks)))
        forget(memory, n);
}

struct memory_network *memory_find(const struct memory *memory, const char *name)
{
    struct memory_network *n;
    TAILQ_FOREACH (n, &memory->networks, link)
        if (strcmp(n->name, name) == 0)
            return n;
    return NULL;
}

static bool make_room(struct memory *memory)
{
    struct memory_network *n, *oldest = NULL;
    unsigned count = 0;
    TAILQ_FOREACH (n, &memory->networks, link) {
        count++;
        if (!oldest && !n->in_use)
            oldest = n;
    }
    if (count < MEMORY_NETWORKS_MAX)
        return true;
    if (oldest)
        forget(memory, oldest);
    return oldest != NULL;
}

struct memory_network *memory_use(struct memory *memory, const char *name)
{
    struct memory_network *n = memory_find(memory, name);
    if (n) {
        TAILQ_REMOVE(&memory->networks, n, link);
    } else {
        if (!make_room(memory))
            return NULL;
        n = calloc(1, sizeof *n);
        if (!n)
            return NULL;
        (void)str_copy(n->name, sizeof n->name, name);
        identity_table_init(&n->identities);
    }
    TAILQ_INSERT_TAIL(&memory->networks, n, link);
    return n;
}

/* ---- reading ------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void lost(struct memory_loss *loss, const char *fmt,
                                                       ...)
{
    if (loss->count++ > 0)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(loss->first, sizeof loss->first, fmt, ap);
    va_end(ap);
}

/* The text of a member: 0 and "" when it is absent; -EINVAL when it is no text, too long
 * or has a NUL inside (which would make two texts equal that are not). */
static int get_text(const json_t *object, const char *key, char *ret, size_t size)
{
    const json_t *value = json_object_get(object, key);
    ret[0] = '\0';
    if (!value)
        return 0;
    const char *text = json_string_value(value);
    if (!text || strlen(text) != json_string_length(value))
        return -EINVAL;
    return str_copy(ret, size, text) < 0 ? -EINVAL : 0;
}

static int read_identity(const json_t *object, struct identity *ret)
{
    char mac[MAC_TEXT], ipv4[ADDR4_TEXT];
    const json_t *uid = json_object_get(object, "uid");

    *ret = (struct identity){ 0 };
    if (!json_is_integer(uid) || json_integer_value(uid) < 0 ||
        json_integer_value(uid) >= UINT32_MAX)
        return -EINVAL;
    ret->uid = (uid_t)json_integer_value(uid);
    if (get_text(object, "id", ret->id, sizeof ret->id) < 0 ||
        get_text(object, "name", ret->name, sizeof ret->name) < 0 ||
        get_text(object, "mac", mac, sizeof mac) < 0 ||
        get_text(object, "ipv4", ipv4, sizeof ipv4) < 0)
        return -EINVAL;
    if ((mac[0] != '\0' && mac_parse(mac, &ret->mac) < 0) ||
        (ipv4[0] != '\0' && addr4_parse(ipv4, &ret->ipv4) < 0))
        return -EINVAL;
    return 0;
}

static void read_identities(struct memory_network *network, const json_t *array,
                            struct memory_loss *loss)
{
    size_t i;
    json_t *object;

    if (array && !json_is_array(array))
        lost(loss, "network '%s': \"interfaces\" is no list", network->name);
    json_array_foreach (array, i, object) {
        struct identity identity;
        int r = read_identity(object, &identity);
        if (r == 0)
            r = identity_remember(&network->identities, &identity);
        if (r < 0)
            lost(loss, "network '%s', interface %zu: %s", network->name, i + 1,
                 r == -EEXIST   ? "id, name, MAC or address is there twice"
                 : r == -EINVAL ? "makes no sense"
                                : strerror(-r));
    }
}

/* A subnet that a definition could have: nothing wider than /8, room for a VM. */
static bool subnet_plausible(struct subnet4 s)
{
    return s.prefix >= 8 && s.prefix <= 29;
}

static bool prefix_plausible(const struct prefix6 *p)
{
    return p->len == 64;
}

/* Of two networks in one subnet the first is believed. */
static bool subnet_remembered(const struct memory *memory, struct subnet4 s)
{
    struct memory_network *n;
    TAILQ_FOREACH (n, &memory->networks, link)
        if (n->subnet.prefix != 0 && subnet4_overlaps(n->subnet, s))
            return true;
    return false;
}

static void read_network(struct memory *memory, size_t index, const json_t *object,
                         struct memory_loss *loss)
{
    char name[NAME_SIZE], subnet[SUBNET4_TEXT], prefix[PREFIX6_TEXT];
    struct subnet4 s = { 0 };
    struct prefix6 p = { 0 };

    if (get_text(object, "name", name, sizeof name) < 0 || !name_valid(name) ||
        memory_find(memory, name)) {
        lost(loss, "network %zu: its name is missing, invalid or there twice", index + 1);
        return;
    }
    if (get_text(object, "subnet", subnet, sizeof subnet) < 0 ||
        (subnet[0] != '\0' &&
         (subnet4_parse(subnet, &s) < 0 || !subnet_plausible(s) || subnet_remembered(memory, s)))) {
        lost(loss, "network '%s': its subnet makes no sense", name);
        s = (struct subnet4){ 0 };
    }
    if (get_text(object, "prefix6", prefix, sizeof prefix) < 0 ||
        (prefix[0] != '\0' && (prefix6_parse(prefix, &p) < 0 || !prefix_plausible(&p)))) {
        lost(loss, "network '%s': its IPv6 prefix makes no sense", name);
        p = (struct prefix6){ 0 };
    }
    struct memory_network *network = memory_use(memory, name);
    if (!network) {
        lost(loss, "network '%s': out of memory", name);
        return;
    }
    network->subnet = s;
    network->prefix6 = p;
    identity_table_move(&network->identities, s);
    read_identities(network, json_object_get(object, "interfaces"), loss);
}

void memory_parse(struct memory *memory, const char *text, size_t len, struct memory_loss *loss)
{
    json_error_t error;
    size_t i;
    json_t *object;

    *loss = (struct memory_loss){ 0 };
    AUTO(json_decref) json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        lost(loss, "line %d: %.120s", error.line, error.text);
        return;
    }
    const json_t *version = json_object_get(root, "version");
    if (json_integer_value(version) != MEMORY_VERSION) {
        lost(loss, "it is not of version %d", MEMORY_VERSION);
        return;
    }
    const json_t *networks = json_object_get(root, "networks");
    if (!json_is_array(networks))
        lost(loss, "\"networks\" is no list");
    json_array_foreach (networks, i, object)
        read_network(memory, i, object, loss);
}

/* ---- writing ------------------------------------------------------------------ */

static int set_text(json_t *object, const char *key, const char *value)
{
    return json_object_set_new(object, key, json_string(value));
}

static json_t *format_identity(const struct identity *i)
{
    static const struct mac none;
    char mac[MAC_TEXT], ipv4[ADDR4_TEXT];
    json_t *object = json_pack("{s:I, s:s}", "uid", (json_int_t)i->uid, "id", i->id);
    if (!object)
        return NULL;
    if ((i->name[0] != '\0' && set_text(object, "name", i->name) < 0) ||
        (!mac_equal(i->mac, none) && set_text(object, "mac", mac_format(i->mac, mac)) < 0) ||
        (i->ipv4 != 0 && set_text(object, "ipv4", addr4_format(i->ipv4, ipv4)) < 0)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *format_identities(const struct identity_table *table)
{
    AUTO(json_decref) json_t *array = json_array();
    struct identity *i;
    TAILQ_FOREACH (i, &table->list, link)
        if (!i->ephemeral && json_array_append_new(array, format_identity(i)) < 0)
            return NULL;
    return take_ptr(&array);
}

static json_t *format_network(const struct memory_network *n)
{
    char subnet[SUBNET4_TEXT], prefix[PREFIX6_TEXT];
    AUTO(json_decref) json_t *object = json_pack("{s:s}", "name", n->name);
    if ((n->subnet.prefix != 0 &&
         set_text(object, "subnet", subnet4_format(n->subnet, subnet)) < 0) ||
        (n->prefix6.len != 0 &&
         set_text(object, "prefix6", prefix6_format(&n->prefix6, prefix)) < 0) ||
        json_object_set_new(object, "interfaces", format_identities(&n->identities)) < 0)
        return NULL;
    return take_ptr(&object);
}

char *memory_format(const struct memory *memory)
{
    struct memory_network *n;
    AUTO(json_decref) json_t *networks = json_array();
    TAILQ_FOREACH (n, &memory->networks, link)
        if (json_array_append_new(networks, format_network(n)) < 0)
            return NULL;
    /* "O": the object gets a reference of its own, ours is dropped on the way out. */
    AUTO(json_decref)
    json_t *root = json_pack("{s:i, s:O}", "version", MEMORY_VERSION, "networks", networks);
    char *text = NULL;
    return root && json_text(root, JSON_INDENT(1), &text) == 0 ? text : NULL;
}
