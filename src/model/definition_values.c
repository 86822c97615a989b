/* SPDX-License-Identifier: Apache-2.0 */
/* definition_values.c - the keys with a single value each, from JSON to struct net_def.
 *
 * Types have been checked by the table in definition_parse.c.
 */
#include "definition_part.h"

#include "json_walk.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- values that stand alone ---- */

void read_description(struct reader *r, const json_t *value, const char *at)
{
    if (json_string_length(value) > DESCRIPTION_MAX) {
        reader_wrong(r, at, "\"description\" is too long");
        reader_remedy(r, "write at most %u bytes", DESCRIPTION_MAX);
        return;
    }
    r->definition->description = strdup(json_string_value(value));
    if (!r->definition->description)
        r->no_memory = true;
}

void read_interface(struct reader *r, const json_t *value, const char *at)
{
    char *name = r->definition->net.external_interface;
    const char *text = json_string_value(value);
    if (interface_name_valid(text) && str_copy(name, INTERFACE_NAME_SIZE, text) == 0)
        return;
    reader_wrong(r, at, "\"%s\" cannot be the name of a network interface", EXCERPT(text));
    reader_remedy(r, "write one that `ip link` lists, at most %d characters",
                  INTERFACE_NAME_SIZE - 1);
}

void read_domain(struct reader *r, const json_t *value, const char *at)
{
    char labels[DOMAIN_SIZE];
    const char *text = json_string_value(value);
    bool valid = str_copy(labels, sizeof labels, text) == 0;
    for (char *label = labels, *dot; valid && label; label = dot ? dot + 1 : NULL) {
        dot = strchr(label, '.');
        if (dot)
            *dot = '\0';
        valid = name_valid(label);
    }
    if (valid) {
        (void)str_copy(r->definition->net.domain, DOMAIN_SIZE, text);
        return;
    }
    reader_wrong(r, at, "\"%s\" is no domain", EXCERPT(text));
    reader_remedy(r, "write names of a-z, 0-9 and '-' with dots between, like \"lab.example\"");
}

void read_mtu(struct reader *r, const json_t *value, const char *at)
{
    (void)reader_number(r, "mtu", value, at, MTU_MIN, MTU_MAX, "1500", &r->definition->net.mtu);
}

void read_idle_timeout(struct reader *r, const json_t *value, const char *at)
{
    unsigned seconds;
    if (reader_number(r, "idle_timeout", value, at, 0, DEFINITION_IDLE_MAX, "120", &seconds))
        r->definition->net.idle_timeout_sec = seconds;
}

static bool server_reachable(struct reader *r, const struct address *server, const char *at)
{
    const struct net_def *net = &r->definition->net;
    char text[ADDR6_TEXT];
    if (net->mode == NET_MODE_HOST)
        return reader_vm_address(r, at, server);
    if (dns_server_possible(server, net->dns_proxy))
        return true;
    if (dns_server_possible(server, true)) {
        reader_wrong(r, at, "%s would be the VM itself", address_format(server, text));
        reader_remedy(r, "write an address that VMs reach, or \"dns_proxy\": true");
        return false;
    }
    reader_wrong(r, at, "%s cannot be asked", address_format(server, text));
    reader_remedy(r, "write the address of one DNS server that routes lead to");
    return false;
}

static void read_server(struct reader *r, const json_t *value, const char *at)
{
    struct net_def *net = &r->definition->net;
    struct address *server = &net->dns_servers[net->n_dns_servers];
    if (!reader_element_type(r, "dns_servers", value, at, JSON_STRING, "[ \"192.168.1.1\" ]"))
        return;
    const char *text = json_string_value(value);
    if (address_parse(text, server) < 0) {
        reader_wrong(r, at, "\"%s\" is no address", EXCERPT(text));
        reader_remedy(r, "write the IPv4 or IPv6 address of a DNS server, without a port");
        return;
    }
    if (server_reachable(r, server, at))
        net->n_dns_servers++;
}

void read_dns_servers(struct reader *r, const json_t *value, const char *at)
{
    struct json_walk walk = json_walk_begin(at, r->end);
    size_t i;
    json_t *element;
    if (json_array_size(value) > DNS_SERVERS_MAX) {
        reader_wrong(r, at, "\"dns_servers\" has %zu servers", json_array_size(value));
        reader_remedy(r, "write at most %d", DNS_SERVERS_MAX);
        return;
    }
    json_array_foreach (value, i, element)
        read_server(r, element, json_walk_element(&walk));
}

/* ---- values that are one of a few words ---- */

static bool read_word(struct reader *r, const char *key, const json_t *value, const char *at,
                      const char *const words[], size_t n, unsigned *ret)
{
    char list[64] = "";
    const char *text = json_string_value(value);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret = (unsigned)i;
            return true;
        }
        size_t len = strlen(list);
        (void)snprintf(list + len, sizeof list - len, "%s\"%s\"",
                       i == 0      ? ""
                       : i + 1 < n ? ", "
                                   : " or ",
                       words[i]);
    }
    reader_wrong(r, at, "\"%s\" cannot be \"%s\"", key, EXCERPT(text));
    reader_remedy(r, "write %s", list);
    return false;
}

void read_uplink(struct reader *r, const json_t *value, const char *at)
{
    unsigned word;
    if (read_word(r, "uplink", value, at, uplink_words, N_ELEMENTS(uplink_words), &word))
        r->definition->net.uplink = (enum uplink_kind)word;
}

void read_anti_spoofing(struct reader *r, const json_t *value, const char *at)
{
    unsigned word;
    if (read_word(r, "anti_spoofing", value, at, anti_spoofing_words,
                  N_ELEMENTS(anti_spoofing_words), &word))
        r->definition->net.anti_spoofing = (enum anti_spoofing)word;
}

/* ---- the network's own addresses ---- */

/* What no network of ours can be: this host, loopback, link-local, multicast and beyond. */
static bool range_impossible(struct subnet4 s)
{
    static const struct subnet4 impossible[] = {
        { 0x00000000, 8 }, { 0x7f000000, 8 }, { 0xa9fe0000, 16 }, { 0xe0000000, 3 }
    };
    for (size_t i = 0; i < N_ELEMENTS(impossible); i++)
        if (subnet4_overlaps(impossible[i], s))
            return true;
    return false;
}

/* The length of a mask, 0 to 32; -EINVAL: there are ones behind zeros, or it is no address. */
static int mask_length(const char *text)
{
    uint32_t mask;
    if (addr4_parse(text, &mask) < 0)
        return -EINVAL;
    int prefix = __builtin_popcount(mask);
    return mask == subnet4_mask((struct subnet4){ 0, (unsigned)prefix }) ? prefix : -EINVAL;
}

static bool read_mask(struct reader *r, const char *text, const char *at, unsigned *ret)
{
    int prefix = mask_length(text);
    if (prefix >= SUBNET_PREFIX_SHORTEST && prefix <= SUBNET_PREFIX_LONGEST) {
        *ret = (unsigned)prefix;
        return true;
    }
    if (prefix < 0)
        reader_wrong(r, at, "\"%s\" is no mask", EXCERPT(text));
    else
        reader_wrong(r, at, "a network of mask %s is too %s", text,
                     prefix < SUBNET_PREFIX_SHORTEST ? "large" : "small");
    reader_remedy(r, "write one from \"255.0.0.0\" to \"255.255.255.248\", usually "
                     "\"255.255.255.0\"");
    return false;
}

static bool parse_subnet(struct reader *r, const char *text, const char *at, uint32_t *ret)
{
    if (addr4_parse(text, ret) == 0)
        return true;
    reader_wrong(r, at, "\"%s\" is no IPv4 address", EXCERPT(text));
    reader_remedy(r, strchr(text, '/')
                         ? "write the gateway's address, like \"192.168.42.1\", and the size as "
                           "\"mask\": \"255.255.255.0\""
                         : "write the gateway's address, like \"192.168.42.1\"");
    return false;
}

/* The gateway's address as macOS has it, or the range's base; nothing in between, which could
 * as well be a slip. */
static void take_subnet(struct reader *r, uint32_t addr, unsigned prefix, const char *at)
{
    struct subnet4 s = { .prefix = prefix };
    char text[ADDR4_TEXT], range[SUBNET4_TEXT];
    s.base = addr & subnet4_mask(s);
    (void)subnet4_format(s, range);
    if (range_impossible(s)) {
        reader_wrong(r, at, "%s cannot be a network's range", range);
        reader_remedy(r, "write a private address, like \"192.168.42.1\"");
        r->subnet_bad = true;
    } else if (addr != s.base && addr != subnet4_gateway(s)) {
        reader_wrong(r, at, "%s is not the first address of %s", addr4_format(addr, text), range);
        reader_remedy(r, "write \"%s\"", addr4_format(subnet4_gateway(s), text));
        r->subnet_bad = true;
    } else {
        r->definition->net.subnet = s;
    }
}

/* Given, but not to be read: it has been complained of. */
static bool spoilt(const struct members *m, enum definition_key key)
{
    return (m->at[key] && !m->values[key]) || m->misspelt[key];
}

static void complain_alone(struct reader *r, const struct members *m, enum definition_key key,
                           enum definition_key needed)
{
    if (!m->at[key] || m->at[needed] || m->misspelt[needed])
        return;
    reader_wrong(r, m->at[key], "\"%s\" means nothing without \"%s\"", definition_key_name(key),
                 definition_key_name(needed));
    reader_remedy(r, "write \"%s\" too, or remove it", definition_key_name(needed));
}

void read_subnet(struct reader *r, const struct members *m)
{
    const json_t *subnet = m->values[KEY_SUBNET], *mask = m->values[KEY_MASK];
    unsigned prefix = 24;
    uint32_t addr = 0;

    complain_alone(r, m, KEY_MASK, KEY_SUBNET);
    r->subnet_bad = spoilt(m, KEY_MASK) || spoilt(m, KEY_SUBNET);
    if (mask && !read_mask(r, json_string_value(mask), m->at[KEY_MASK], &prefix))
        r->subnet_bad = true;
    if (subnet && !parse_subnet(r, json_string_value(subnet), m->at[KEY_SUBNET], &addr))
        r->subnet_bad = true;
    if (subnet && !r->subnet_bad)
        take_subnet(r, addr, prefix, m->at[KEY_SUBNET]);
}

static void take_prefix(struct reader *r, const char *text, const char *at)
{
    struct prefix6 p = { .len = PREFIX6_LENGTH };
    char base[ADDR6_TEXT];
    if (addr6_parse(text, p.addr) < 0) {
        reader_wrong(r, at, "\"%s\" is no IPv6 address", EXCERPT(text));
        reader_remedy(r, strchr(text, '/') ? "write it without the length, like \"fd00:42::\""
                                           : "write one like \"fd00:42::\"");
    } else if (!addr6_is_global(p.addr)) {
        reader_wrong(r, at, "%s cannot be a network's prefix", text);
        reader_remedy(r, "write one of your own below fd00::/8, like \"fd00:42::\"");
    } else {
        memset(p.addr + 8, 0, 8);
        struct prefix6 full = p;
        (void)addr6_parse(text, full.addr);
        if (memcmp(full.addr, p.addr, sizeof p.addr) == 0) {
            r->definition->net.prefix6 = p;
            return;
        }
        reader_wrong(r, at, "%s is an address, not the prefix of a /64", text);
        reader_remedy(r, "write \"%s\"", addr6_format(p.addr, base));
    }
    r->prefix_bad = true;
}

void read_prefix(struct reader *r, const struct members *m)
{
    const json_t *prefix = m->values[KEY_IPV6_PREFIX], *length = m->values[KEY_IPV6_PREFIX_LENGTH];

    complain_alone(r, m, KEY_IPV6_PREFIX_LENGTH, KEY_IPV6_PREFIX);
    r->prefix_bad = spoilt(m, KEY_IPV6_PREFIX);
    if (length && json_integer_value(length) != PREFIX6_LENGTH) {
        reader_wrong(r, m->at[KEY_IPV6_PREFIX_LENGTH],
                     "a prefix of length %" JSON_INTEGER_FORMAT " does not work: VMs make their "
                     "addresses themselves, within a /64",
                     json_integer_value(length));
        reader_remedy(r, "write 64, or remove it");
    }
    if (prefix)
        take_prefix(r, json_string_value(prefix), m->at[KEY_IPV6_PREFIX]);
}
