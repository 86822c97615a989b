/* SPDX-License-Identifier: Apache-2.0 */
#include "definition_json.h"

#include <arpa/inet.h>

/* value: taken over; NULL: memory was short, and counts as a failure. */
static int set(json_t *object, enum definition_key key, json_t *value)
{
    return json_object_set_new(object, definition_key_name(key), value);
}

static int set_addresses(json_t *object, const struct net_def *net)
{
    char text4[ADDR4_TEXT], text6[ADDR6_TEXT];
    const struct in_addr mask = { htonl(subnet4_mask(net->subnet)) };
    char mask_text[INET_ADDRSTRLEN];
    int r = 0;

    if (net->subnet.prefix != 0) {
        r |=
            set(object, KEY_SUBNET, json_string(addr4_format(subnet4_gateway(net->subnet), text4)));
        r |= set(object, KEY_MASK,
                 json_string(inet_ntop(AF_INET, &mask, mask_text, sizeof mask_text)));
    }
    if (net->prefix6.len != 0) {
        r |= set(object, KEY_IPV6_PREFIX, json_string(addr6_format(net->prefix6.addr, text6)));
        r |= set(object, KEY_IPV6_PREFIX_LENGTH, json_integer(net->prefix6.len));
    }
    if (net->external_interface[0])
        r |= set(object, KEY_EXTERNAL_INTERFACE, json_string(net->external_interface));
    return r;
}

static json_t *servers_json(const struct net_def *net)
{
    json_t *list = json_array();
    char text[ADDR6_TEXT];
    for (unsigned i = 0; i < net->n_dns_servers; i++)
        (void)json_array_append_new(list, json_string(address_format(&net->dns_servers[i], text)));
    return list;
}

static int set_services(json_t *object, const struct net_def *net)
{
    int r = set(object, KEY_NAT44, json_boolean(net->nat44)) |
            set(object, KEY_NAT66, json_boolean(net->nat66)) |
            set(object, KEY_DHCP, json_boolean(net->dhcp)) |
            set(object, KEY_DNS_PROXY, json_boolean(net->dns_proxy)) |
            set(object, KEY_ROUTER_ADVERTISEMENT, json_boolean(net->router_advertisement)) |
            set(object, KEY_MTU, json_integer(net->mtu));
    if (net->n_dns_servers > 0)
        r |= set(object, KEY_DNS_SERVERS, servers_json(net));
    if (net->domain[0])
        r |= set(object, KEY_DOMAIN, json_string(net->domain));
    return r;
}

static json_t *reservations_json(const struct definition *d)
{
    json_t *list = json_array();
    char mac[MAC_TEXT], address[ADDR4_TEXT];
    for (size_t i = 0; i < d->n_reservations; i++) {
        const struct reservation *r = &d->reservations[i];
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s*}", "mac", mac_format(r->mac, mac), "address",
                            addr4_format(r->ipv4, address), "name", r->name[0] ? r->name : NULL));
    }
    return list;
}

static json_t *forwards_json(const struct definition *d)
{
    json_t *list = json_array();
    char address[ADDR6_TEXT];
    for (size_t i = 0; i < d->n_forwards; i++) {
        const struct forward *f = &d->forwards[i];
        (void)json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:i}", "protocol",
                                                    f->protocol == FORWARD_UDP ? "udp" : "tcp",
                                                    "external_port", (int)f->external_port,
                                                    "address", address_format(&f->address, address),
                                                    "internal_port", (int)f->internal_port));
    }
    return list;
}

static json_t *names_json(char (*names)[ACCOUNT_NAME_SIZE], size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(list, json_string(names[i]));
    return list;
}

static int set_lists(json_t *object, const struct definition *d)
{
    const struct allow *allow = &d->allow;
    int r = 0;
    if (d->n_reservations > 0)
        r |= set(object, KEY_DHCP_RESERVATIONS, reservations_json(d));
    if (d->n_forwards > 0)
        r |= set(object, KEY_PORT_FORWARDING, forwards_json(d));
    if (allow->given)
        r |= set(object, KEY_ALLOW,
                 json_pack("{s:o, s:o}", "users", names_json(allow->users, allow->n_users),
                           "groups", names_json(allow->groups, allow->n_groups)));
    return r;
}

json_t *definition_json(const struct definition *d)
{
    const struct net_def *net = &d->net;
    json_t *object = json_object();
    int r = 0;

    if (d->description)
        r |= set(object, KEY_DESCRIPTION, json_string(d->description));
    r |= set(object, KEY_MODE, json_string(net_mode_name(net->mode)));
    r |= set_addresses(object, net) | set_services(object, net) | set_lists(object, d);
    r |= set(object, KEY_UPLINK, json_string(uplink_words[net->uplink])) |
         set(object, KEY_ANTI_SPOOFING, json_string(anti_spoofing_words[net->anti_spoofing])) |
         set(object, KEY_ISOLATION, json_boolean(net->isolation)) |
         set(object, KEY_PERSISTENT, json_boolean(net->persistent));
    if (net->idle_timeout_sec != UINT32_MAX)
        r |= set(object, KEY_IDLE_TIMEOUT, json_integer(net->idle_timeout_sec));
    if (r == 0)
        return object;
    json_decref(object);
    return NULL;
}
