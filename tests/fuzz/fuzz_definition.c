/* SPDX-License-Identifier: Apache-2.0 */
/* A definition file: what is taken keeps every promise of definition.h, and what is refused
 * is complained of in one line each, at a place that the text has. */
#include "definition.h"
#include "fuzz.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static void check_line(const char *text)
{
    size_t len = strlen(text);
    MUST(len < COMPLAINT_TEXT);
    for (size_t i = 0; i < len; i++)
        MUST((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
    json_t *value = json_stringn(text, len); /* checks that it is UTF-8 */
    MUST(value);
    json_decref(value);
}

static void check_complaints(const struct complaints *complaints, const char *text, size_t size)
{
    unsigned lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    for (size_t i = 0; i < complaints->n; i++) {
        const struct complaint *c = &complaints->items[i];
        MUST(c->at.line <= lines && (c->at.line == 0) == (c->at.column == 0));
        MUST(i == 0 || complaints->items[i - 1].at.line <= c->at.line);
        MUST(c->what[0]);
        check_line(c->what);
        check_line(c->remedy);
    }
}

static void check_net(const struct net_def *net)
{
    bool fixed = net->subnet.prefix != 0;
    MUST(!fixed || (net->subnet.prefix >= SUBNET_PREFIX_SHORTEST &&
                    net->subnet.prefix <= SUBNET_PREFIX_LONGEST &&
                    (net->subnet.base & ~subnet4_mask(net->subnet)) == 0));
    MUST(net->prefix6.len == 0 || net->prefix6.len == PREFIX6_LENGTH);
    MUST(net->mtu >= MTU_MIN && net->mtu <= MTU_MAX);
    MUST(net->n_dns_servers <= DNS_SERVERS_MAX);
    MUST(memchr(net->external_interface, '\0', INTERFACE_NAME_SIZE));
    MUST(net->domain[0] && memchr(net->domain, '\0', DOMAIN_SIZE));
    MUST(net->mode != NET_MODE_HOST || (!net->nat44 && !net->nat66 && !net->dns_proxy &&
                                        !net->external_interface[0] && net->uplink == UPLINK_AUTO));
}

static bool usable(struct subnet4 s, uint32_t addr)
{
    return subnet4_contains(s, addr) && addr >= s.base + 2 && addr < subnet4_host(s);
}

static void check_lists(const struct definition *d)
{
    MUST(d->n_reservations <= RESERVATIONS_MAX && d->n_forwards <= FORWARDS_MAX);
    for (size_t i = 0; i < d->n_reservations; i++) {
        const struct reservation *r = &d->reservations[i];
        MUST(usable(d->net.subnet, r->ipv4) && mac_is_unicast(r->mac));
        MUST(!r->name[0] || (name_valid(r->name) && !vm_name_reserved(r->name)));
        for (size_t k = 0; k < i; k++)
            MUST(!mac_equal(r->mac, d->reservations[k].mac) && r->ipv4 != d->reservations[k].ipv4 &&
                 (!r->name[0] || strcmp(r->name, d->reservations[k].name) != 0));
    }
    for (size_t i = 0; i < d->n_forwards; i++) {
        const struct forward *f = &d->forwards[i];
        MUST(f->external_port != 0 && f->internal_port != 0);
        MUST(f->address.version == 4 ? usable(d->net.subnet, f->address.v4)
                                     : prefix6_contains(&d->net.prefix6, f->address.v6));
    }
    MUST(!d->allow.given || d->allow.n_users + d->allow.n_groups > 0);
}

FUZZ(data, size)
{
    static struct complaints complaints;
    struct definition *first = NULL, *second = NULL;
    const char *text = (const char *)data;

    complaints = (struct complaints){ 0 };
    int r = definition_parse("lab", "lab.json", text, size, &first, &complaints);
    MUST(r == 0 || r == -EBADMSG);
    MUST((r == 0) == (complaints.n == 0) && (r == 0) == (first != NULL));
    check_complaints(&complaints, text, size);
    if (r < 0)
        return;
    check_net(&first->net);
    check_lists(first);
    MUST(definition_parse("lab", "lab.json", text, size, &second, &complaints) == 0);
    MUST(definition_differs(first, second) == 0);
    definition_unref(first);
    definition_unref(second);
}
