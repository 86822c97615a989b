/* SPDX-License-Identifier: Apache-2.0 */
/* definition.c - a definition as a thing: its life, and how two of them differ. */
#include "definition.h"

#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const key_names[] = {
    [KEY_DESCRIPTION] = "description",
    [KEY_MODE] = "mode",
    [KEY_SUBNET] = "subnet",
    [KEY_MASK] = "mask",
    [KEY_IPV6_PREFIX] = "ipv6_prefix",
    [KEY_IPV6_PREFIX_LENGTH] = "ipv6_prefix_length",
    [KEY_EXTERNAL_INTERFACE] = "external_interface",
    [KEY_NAT44] = "nat44",
    [KEY_NAT66] = "nat66",
    [KEY_DHCP] = "dhcp",
    [KEY_DNS_PROXY] = "dns_proxy",
    [KEY_DNS_SERVERS] = "dns_servers",
    [KEY_DOMAIN] = "domain",
    [KEY_ROUTER_ADVERTISEMENT] = "router_advertisement",
    [KEY_MTU] = "mtu",
    [KEY_DHCP_RESERVATIONS] = "dhcp_reservations",
    [KEY_PORT_FORWARDING] = "port_forwarding",
    [KEY_ALLOW] = "allow",
    [KEY_UPLINK] = "uplink",
    [KEY_ANTI_SPOOFING] = "anti_spoofing",
    [KEY_ISOLATION] = "isolation",
    [KEY_IDLE_TIMEOUT] = "idle_timeout",
    [KEY_PERSISTENT] = "persistent",
};
_Static_assert(N_ELEMENTS(key_names) == DEFINITION_KEYS, "every key has a name");

const char *definition_key_name(enum definition_key key)
{
    return (size_t)key < N_ELEMENTS(key_names) ? key_names[key] : "?";
}

/* ---- life ---- */

struct definition *definition_ref(struct definition *definition)
{
    definition->references++;
    return definition;
}

struct definition *definition_unref(struct definition *definition)
{
    if (!definition || --definition->references > 0)
        return NULL;
    free(definition->description);
    free(definition->file);
    free(definition->reservations);
    free(definition->forwards);
    free(definition->allow.users);
    free(definition->allow.groups);
    free(definition);
    return NULL;
}

int definition_from_net(const struct net_def *net, struct definition **ret)
{
    struct definition *definition = calloc(1, sizeof *definition);
    if (!definition)
        return -ENOMEM;
    definition->net = *net;
    definition->references = 1;
    *ret = definition;
    return 0;
}

int definition_builtin(const char *name, struct definition **ret)
{
    struct net_def net;
    int r = net_def_find(name, &net);
    return r < 0 ? r : definition_from_net(&net, ret);
}

/* ---- differences ---- */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_servers(const struct net_def *a, const struct net_def *b)
{
    if (a->n_dns_servers != b->n_dns_servers)
        return false;
    for (unsigned i = 0; i < a->n_dns_servers; i++)
        if (!address_equal(&a->dns_servers[i], &b->dns_servers[i]))
            return false;
    return true;
}

static bool same_reservations(const struct definition *a, const struct definition *b)
{
    if (a->n_reservations != b->n_reservations)
        return false;
    for (size_t i = 0; i < a->n_reservations; i++) {
        const struct reservation *x = &a->reservations[i], *y = &b->reservations[i];
        if (!mac_equal(x->mac, y->mac) || x->ipv4 != y->ipv4 || strcmp(x->name, y->name) != 0)
            return false;
    }
    return true;
}

static bool same_forwards(const struct definition *a, const struct definition *b)
{
    if (a->n_forwards != b->n_forwards)
        return false;
    for (size_t i = 0; i < a->n_forwards; i++) {
        const struct forward *x = &a->forwards[i], *y = &b->forwards[i];
        if (x->protocol != y->protocol || x->external_port != y->external_port ||
            x->internal_port != y->internal_port || !address_equal(&x->address, &y->address))
            return false;
    }
    return true;
}

static bool same_accounts(char (*a)[ACCOUNT_NAME_SIZE], size_t n_a, char (*b)[ACCOUNT_NAME_SIZE],
                          size_t n_b)
{
    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

static bool same_allow(const struct allow *a, const struct allow *b)
{
    return a->given == b->given && same_accounts(a->users, a->n_users, b->users, b->n_users) &&
           same_accounts(a->groups, a->n_groups, b->groups, b->n_groups);
}

definition_keys definition_differs(const struct definition *a, const struct definition *b)
{
    const struct net_def *x = &a->net, *y = &b->net;
    const bool differs[DEFINITION_KEYS] = {
        [KEY_DESCRIPTION] = !same_text(a->description, b->description),
        [KEY_MODE] = x->mode != y->mode,
        [KEY_SUBNET] = x->subnet.base != y->subnet.base,
        [KEY_MASK] = x->subnet.prefix != y->subnet.prefix,
        [KEY_IPV6_PREFIX] = memcmp(x->prefix6.addr, y->prefix6.addr, 16) != 0,
        [KEY_IPV6_PREFIX_LENGTH] = x->prefix6.len != y->prefix6.len,
        [KEY_EXTERNAL_INTERFACE] = !same_text(x->external_interface, y->external_interface),
        [KEY_NAT44] = x->nat44 != y->nat44,
        [KEY_NAT66] = x->nat66 != y->nat66,
        [KEY_DHCP] = x->dhcp != y->dhcp,
        [KEY_DNS_PROXY] = x->dns_proxy != y->dns_proxy,
        [KEY_DNS_SERVERS] = !same_servers(x, y),
        [KEY_DOMAIN] = !same_text(x->domain, y->domain),
        [KEY_ROUTER_ADVERTISEMENT] = x->router_advertisement != y->router_advertisement,
        [KEY_MTU] = x->mtu != y->mtu,
        [KEY_DHCP_RESERVATIONS] = !same_reservations(a, b),
        [KEY_PORT_FORWARDING] = !same_forwards(a, b),
        [KEY_ALLOW] = !same_allow(&a->allow, &b->allow),
        [KEY_UPLINK] = x->uplink != y->uplink,
        [KEY_ANTI_SPOOFING] = x->anti_spoofing != y->anti_spoofing,
        [KEY_ISOLATION] = x->isolation != y->isolation,
        [KEY_IDLE_TIMEOUT] = x->idle_timeout_sec != y->idle_timeout_sec,
        [KEY_PERSISTENT] = x->persistent != y->persistent,
    };
    definition_keys keys = 0;
    for (unsigned key = 0; key < DEFINITION_KEYS; key++)
        keys |= differs[key] ? 1u << key : 0;
    return keys;
}

const char *definition_keys_format(definition_keys keys, char *ret, size_t size)
{
    size_t len = 0;
    ret[0] = '\0';
    for (unsigned key = 0; key < DEFINITION_KEYS; key++) {
        if (!(keys & 1u << key))
            continue;
        int n = snprintf(ret + len, size - len, "%s%s", len > 0 ? ", " : "", key_names[key]);
        if (n < 0 || (size_t)n >= size - len) {
            ret[len] = '\0';
            break;
        }
        len += (size_t)n;
    }
    return ret;
}
