/* SPDX-License-Identifier: Apache-2.0 */
/* definition_lists.c - the keys that are lists: reservations, forwards, and who is allowed.
 *
 * A bad entry is complained of and left out, the others are read on.
 */
#include "definition_part.h"

#include "json_walk.h"
#include "mem.h"
#include "str.h"

#include <stdio.h>
#include <string.h>

/* Whether a member that must be there is, with a value to judge. */
static bool have(struct reader *r, const struct members *m, size_t i, const char *key,
                 const char *example, const char *owner_at)
{
    if (!m->at[i] && !m->misspelt[i]) {
        reader_wrong(r, owner_at, "\"%s\" is missing here", key);
        reader_remedy(r, "write \"%s\": %s", key, example);
    }
    return m->values[i] != NULL;
}

/* Its text; NULL: there is none, and that has been said. */
static const char *required_text(struct reader *r, const struct members *m, size_t i,
                                 const char *key, const char *example, const char *owner_at)
{
    if (!have(r, m, i, key, example, owner_at) ||
        !reader_type(r, key, m->values[i], m->at[i], JSON_STRING, example))
        return NULL;
    return json_string_value(m->values[i]);
}

/* What the network itself is, "" where a VM can be. */
static const char *role_of(struct subnet4 s, uint32_t addr)
{
    if (addr == s.base)
        return "network";
    if (addr == subnet4_gateway(s))
        return "gateway";
    if (addr == subnet4_host(s))
        return "host";
    return addr == (s.base | ~subnet4_mask(s)) ? "broadcast" : "";
}

static bool vm_address4(struct reader *r, const char *at, uint32_t addr)
{
    struct subnet4 s = r->definition->net.subnet;
    char text[ADDR4_TEXT], range[SUBNET4_TEXT], first[ADDR4_TEXT], last[ADDR4_TEXT];
    (void)addr4_format(addr, text);
    if (r->subnet_bad)
        return true;
    if (s.prefix == 0) {
        reader_wrong(r, at, "%s needs a fixed subnet, or it could be of another network", text);
        reader_remedy(r, "write \"subnet\" and, unless it is 255.255.255.0, \"mask\"");
        return false;
    }
    const char *role = role_of(s, addr);
    bool inside = subnet4_contains(s, addr);
    if (inside && !role[0])
        return true;
    if (inside)
        reader_wrong(r, at, "%s is the network's own %s address", text, role);
    else
        reader_wrong(r, at, "%s is not in the network's subnet %s", text, subnet4_format(s, range));
    reader_remedy(r, "write one from %s to %s", addr4_format(s.base + 2, first),
                  addr4_format(subnet4_host(s) - 1, last));
    return false;
}

static bool vm_address6(struct reader *r, const char *at, const struct address *address)
{
    const struct prefix6 *p = &r->definition->net.prefix6;
    char text[ADDR6_TEXT], range[PREFIX6_TEXT];
    uint8_t gateway[16];
    (void)address_format(address, text);
    if (r->prefix_bad)
        return true;
    if (p->len == 0) {
        reader_wrong(r, at, "%s needs a fixed prefix, or it could be of another network", text);
        reader_remedy(r, "write \"ipv6_prefix\"");
        return false;
    }
    prefix6_gateway(p, gateway);
    bool own = memcmp(gateway, address->v6, 16) == 0 || memcmp(p->addr, address->v6, 16) == 0;
    if (prefix6_contains(p, address->v6) && !own)
        return true;
    if (own)
        reader_wrong(r, at, "%s is the network's own gateway address", text);
    else
        reader_wrong(r, at, "%s is not in the network's prefix %s", text, prefix6_format(p, range));
    reader_remedy(r, "write the address that the VM has");
    return false;
}

bool reader_vm_address(struct reader *r, const char *at, const struct address *address)
{
    return address->version == 4 ? vm_address4(r, at, address->v4) : vm_address6(r, at, address);
}

/* Room for a list's entries; false: there are too many, or no memory. */
static bool make_room(struct reader *r, const char *key, const char *at, size_t n, size_t max,
                      size_t size, void **ret)
{
    if (n > max) {
        reader_wrong(r, at, "\"%s\" has %zu entries", key, n);
        reader_remedy(r, "write at most %zu", max);
        return false;
    }
    *ret = n > 0 ? calloc(n, size) : NULL;
    r->no_memory = r->no_memory || (n > 0 && !*ret);
    return n > 0 && *ret;
}

/* ---- reservations ---- */

enum { RESERVATION_MAC, RESERVATION_ADDRESS, RESERVATION_NAME };
static const char *const reservation_keys[] = { "mac", "address", "name" };
static const struct vocabulary reservation_vocabulary = { reservation_keys, 3 };

static bool read_reserved_mac(struct reader *r, const struct members *m, const char *at,
                              struct mac *ret)
{
    const char *example = "\"52:54:00:00:00:01\"";
    const char *text = required_text(r, m, RESERVATION_MAC, "mac", example, at);
    if (!text)
        return false;
    if (mac_parse(text, ret) < 0) {
        reader_wrong(r, m->at[RESERVATION_MAC], "\"%s\" is no MAC address", EXCERPT(text));
        reader_remedy(r, "write six pairs of hexadecimal digits, like %s", example);
        return false;
    }
    if (mac_is_unicast(*ret))
        return true;
    reader_wrong(r, m->at[RESERVATION_MAC], "%s is not the address of one interface", text);
    reader_remedy(r, "write one like %s: not zero, and the first pair even", example);
    return false;
}

static bool read_reserved_address(struct reader *r, const struct members *m, const char *at,
                                  uint32_t *ret)
{
    struct address address = { .version = 4 };
    const char *text = required_text(r, m, RESERVATION_ADDRESS, "address", "\"192.168.42.10\"", at);
    if (!text)
        return false;
    if (addr4_parse(text, &address.v4) < 0) {
        reader_wrong(r, m->at[RESERVATION_ADDRESS], "\"%s\" is no IPv4 address", EXCERPT(text));
        reader_remedy(r, "write one of the network's, like \"192.168.42.10\"");
        return false;
    }
    *ret = address.v4;
    return reader_vm_address(r, m->at[RESERVATION_ADDRESS], &address);
}

static bool read_reserved_name(struct reader *r, const struct members *m, char ret[NAME_SIZE])
{
    const char *at = m->at[RESERVATION_NAME];
    if (!at)
        return true;
    if (!m->values[RESERVATION_NAME] ||
        !reader_type(r, "name", m->values[RESERVATION_NAME], at, JSON_STRING, "\"web\""))
        return false;
    const char *text = json_string_value(m->values[RESERVATION_NAME]);
    if (!name_valid(text)) {
        reader_wrong(r, at, "\"%s\" cannot be a VM's name", EXCERPT(text));
        reader_remedy(r, "write " NAME_RULES);
        return false;
    }
    if (vm_name_reserved(text)) {
        reader_wrong(r, at, "the name \"%s\" is the network's own", text);
        reader_remedy(r, "choose another one");
        return false;
    }
    return str_copy(ret, NAME_SIZE, text) == 0;
}

/* An earlier reservation has the same MAC, address or name. */
static bool complain_repeated(struct reader *r, const struct members *m,
                              const struct reservation *new)
{
    const struct definition *d = r->definition;
    for (size_t i = 0; i < d->n_reservations; i++) {
        const struct reservation *old = &d->reservations[i];
        int field = mac_equal(old->mac, new->mac)                       ? RESERVATION_MAC
                    : old->ipv4 == new->ipv4                            ? RESERVATION_ADDRESS
                    : new->name[0] && strcmp(old->name, new->name) == 0 ? RESERVATION_NAME
                                                                        : -1;
        if (field < 0)
            continue;
        reader_wrong(r, m->at[field], "reservation %zu has this %s already", i + 1,
                     reservation_keys[field]);
        reader_remedy(r, "give each VM its own, or remove one of the two");
        return true;
    }
    return false;
}

static void read_reservation(struct reader *r, const json_t *object, const char *at)
{
    struct definition *d = r->definition;
    struct reservation new = { 0 };
    struct members m;

    if (!reader_element_type(
            r, "dhcp_reservations", object, at, JSON_OBJECT,
            "[ { \"mac\": \"52:54:00:00:00:01\", \"address\": \"192.168.42.10\" } ]"))
        return;
    read_members(r, object, at, &reservation_vocabulary, &m);
    bool good = read_reserved_mac(r, &m, at, &new.mac);
    good &= read_reserved_address(r, &m, at, &new.ipv4);
    good &= read_reserved_name(r, &m, new.name);
    if (good && !complain_repeated(r, &m, &new))
        d->reservations[d->n_reservations++] = new;
}

void read_reservations(struct reader *r, const json_t *list, const char *at)
{
    struct json_walk walk = json_walk_begin(at, r->end);
    size_t i;
    json_t *object;
    void *room;

    if (!make_room(r, "dhcp_reservations", at, json_array_size(list), RESERVATIONS_MAX,
                   sizeof *r->definition->reservations, &room))
        return;
    r->definition->reservations = room;
    json_array_foreach (list, i, object)
        read_reservation(r, object, json_walk_element(&walk));
}

/* ---- forwards ---- */

enum { FORWARD_PROTOCOL, FORWARD_EXTERNAL, FORWARD_ADDRESS, FORWARD_INTERNAL };
static const char *const forward_keys[] = { "protocol", "external_port", "address",
                                            "internal_port" };
static const struct vocabulary forward_vocabulary = { forward_keys, 4 };

static bool read_protocol(struct reader *r, const struct members *m, const char *at,
                          enum forward_protocol *ret)
{
    const char *text = required_text(r, m, FORWARD_PROTOCOL, "protocol", "\"tcp\"", at);
    if (!text)
        return false;
    *ret = strcmp(text, "udp") == 0 ? FORWARD_UDP : FORWARD_TCP;
    if (*ret == FORWARD_UDP || strcmp(text, "tcp") == 0)
        return true;
    reader_wrong(r, m->at[FORWARD_PROTOCOL], "\"protocol\" cannot be \"%s\"", EXCERPT(text));
    reader_remedy(r, "write \"tcp\" or \"udp\"");
    return false;
}

static bool read_port(struct reader *r, const struct members *m, size_t i, const char *at,
                      uint16_t *ret)
{
    unsigned port;
    const char *key = forward_keys[i];
    if (!have(r, m, i, key, "8080", at) ||
        !reader_number(r, key, m->values[i], m->at[i], 1, UINT16_MAX, "8080", &port))
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool read_forward_address(struct reader *r, const struct members *m, const char *at,
                                 struct address *ret)
{
    const char *text = required_text(r, m, FORWARD_ADDRESS, "address", "\"192.168.42.10\"", at);
    if (!text)
        return false;
    if (address_parse(text, ret) == 0)
        return reader_vm_address(r, m->at[FORWARD_ADDRESS], ret);
    reader_wrong(r, m->at[FORWARD_ADDRESS], "\"%s\" is no address", EXCERPT(text));
    reader_remedy(r, "write the VM's IPv4 or IPv6 address, best one of a reservation");
    return false;
}

static bool complain_forwarded(struct reader *r, const struct members *m, const struct forward *new)
{
    const struct definition *d = r->definition;
    for (size_t i = 0; i < d->n_forwards; i++) {
        const struct forward *old = &d->forwards[i];
        if (old->protocol != new->protocol || old->external_port != new->external_port ||
            old->address.version != new->address.version)
            continue;
        reader_wrong(r, m->at[FORWARD_EXTERNAL], "forward %zu has this port of the host already",
                     i + 1);
        reader_remedy(r, "choose another \"external_port\", or remove one of the two");
        return true;
    }
    return false;
}

static void read_forward(struct reader *r, const json_t *object, const char *at)
{
    struct definition *d = r->definition;
    struct forward new = { 0 };
    struct members m;

    if (!reader_element_type(r, "port_forwarding", object, at, JSON_OBJECT,
                             "[ { \"protocol\": \"tcp\", \"external_port\": 8080, \"address\": "
                             "\"192.168.42.10\", \"internal_port\": 80 } ]"))
        return;
    read_members(r, object, at, &forward_vocabulary, &m);
    bool good = read_protocol(r, &m, at, &new.protocol);
    good &= read_port(r, &m, FORWARD_EXTERNAL, at, &new.external_port);
    good &= read_forward_address(r, &m, at, &new.address);
    good &= read_port(r, &m, FORWARD_INTERNAL, at, &new.internal_port);
    if (good && !complain_forwarded(r, &m, &new))
        d->forwards[d->n_forwards++] = new;
}

void read_forwards(struct reader *r, const json_t *list, const char *at)
{
    struct json_walk walk = json_walk_begin(at, r->end);
    size_t i;
    json_t *object;
    void *room;

    if (!make_room(r, "port_forwarding", at, json_array_size(list), FORWARDS_MAX,
                   sizeof *r->definition->forwards, &room))
        return;
    r->definition->forwards = room;
    json_array_foreach (list, i, object)
        read_forward(r, object, json_walk_element(&walk));
}

/* ---- allow ---- */

enum { ALLOW_USERS, ALLOW_GROUPS };
static const char *const allow_keys[] = { "users", "groups" };
static const struct vocabulary allow_vocabulary = { allow_keys, 2 };

static bool account_valid(const char *name)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c <= ' ' || strchr(":/,\x7f", *c))
            return false;
    return name[0] && name[0] != '-' && strlen(name) < ACCOUNT_NAME_SIZE;
}

static void read_account(struct reader *r, const char *key, const json_t *value, const char *at,
                         char (*names)[ACCOUNT_NAME_SIZE], size_t *n)
{
    const char *example = "[ \"alice\" ]";
    if (!reader_element_type(r, key, value, at, JSON_STRING, example))
        return;
    const char *text = json_string_value(value);
    if (account_valid(text)) {
        (void)str_copy(names[(*n)++], ACCOUNT_NAME_SIZE, text);
        return;
    }
    reader_wrong(r, at, "\"%s\" cannot be a name", EXCERPT(text));
    reader_remedy(r, "write the name of a user or group, or its number as \"1000\"");
}

static void read_accounts(struct reader *r, const struct members *m, size_t which,
                          char (**names)[ACCOUNT_NAME_SIZE], size_t *n)
{
    const char *key = allow_keys[which], *at = m->at[which];
    size_t i;
    json_t *value;
    void *room;
    if (!m->values[which] ||
        !reader_type(r, key, m->values[which], at, JSON_ARRAY, "[ \"alice\" ]"))
        return;
    if (!make_room(r, key, at, json_array_size(m->values[which]), ALLOWED_MAX, sizeof **names,
                   &room))
        return;
    *names = room;
    struct json_walk walk = json_walk_begin(at, r->end);
    json_array_foreach (m->values[which], i, value)
        read_account(r, key, value, json_walk_element(&walk), *names, n);
}

void read_allow(struct reader *r, const json_t *object, const char *at)
{
    struct allow *allow = &r->definition->allow;
    struct members m;
    size_t before = r->out->n;

    allow->given = true;
    read_members(r, object, at, &allow_vocabulary, &m);
    read_accounts(r, &m, ALLOW_USERS, &allow->users, &allow->n_users);
    read_accounts(r, &m, ALLOW_GROUPS, &allow->groups, &allow->n_groups);
    if (allow->n_users + allow->n_groups > 0 || r->out->n > before)
        return;
    reader_wrong(r, at, "\"allow\" allows nobody");
    reader_remedy(r, "name \"users\" or \"groups\"; or remove it, then whoever may use the daemon "
                     "may use the network");
}
