/* SPDX-License-Identifier: Apache-2.0 */
/* definition_check.c - values that do not go together, within a definition and with the
 * world around it. */
#include "definition_part.h"

#include <errno.h>

/* ---- within a definition ---- */

/* What a network without a way out cannot have. */
static void check_host_mode(struct reader *r, const char *const at[DEFINITION_KEYS])
{
    const struct net_def *net = &r->definition->net;
    const bool outward[DEFINITION_KEYS] = {
        [KEY_EXTERNAL_INTERFACE] = true, [KEY_NAT44] = net->nat44,
        [KEY_NAT66] = net->nat66,        [KEY_DNS_PROXY] = net->dns_proxy,
        [KEY_PORT_FORWARDING] = true,    [KEY_UPLINK] = net->uplink != UPLINK_AUTO,
    };
    for (unsigned key = 0; key < DEFINITION_KEYS; key++) {
        if (!at[key] || !outward[key])
            continue;
        reader_wrong(r, at[key], "\"%s\" contradicts mode \"host\", a network without a way out",
                     definition_key_name(key));
        reader_remedy(r, "remove it, or write \"mode\": \"shared\"");
    }
}

void check_contradictions(struct reader *r, const char *const at[DEFINITION_KEYS])
{
    const struct definition *d = r->definition;

    if (d->net.mode == NET_MODE_HOST)
        check_host_mode(r, at);
    if (at[KEY_DHCP_RESERVATIONS] && !d->net.dhcp) {
        reader_wrong(r, at[KEY_DHCP_RESERVATIONS],
                     "\"dhcp_reservations\" contradicts \"dhcp\": false");
        reader_remedy(r, "remove one of the two");
    }
    if (at[KEY_IDLE_TIMEOUT] && d->net.persistent) {
        reader_wrong(r, at[KEY_IDLE_TIMEOUT],
                     "\"idle_timeout\" contradicts \"persistent\": true, a network never removed");
        reader_remedy(r, "remove one of the two");
    }
}

/* ---- with the world ---- */

int definition_check_overlap(const struct definition *definition, const struct taken_list *taken,
                             struct complaints *out)
{
    char text[SUBNET4_TEXT];
    struct subnet4 s = definition->net.subnet;
    const struct taken_range *other = s.prefix != 0 ? taken_conflict(taken, s) : NULL;
    if (!other)
        return 0;
    complaints_add(out, definition->key_at[KEY_SUBNET], "its subnet %s conflicts with %s",
                   subnet4_format(s, text), other->owner);
    complaints_remedy(out, "choose another subnet, or none to have one chosen");
    return -EADDRINUSE;
}

int definition_check_prefix(const struct definition *definition, const struct prefix6 *taken,
                            const char *owner, struct complaints *out)
{
    char text[PREFIX6_TEXT];
    const struct prefix6 *p = &definition->net.prefix6;
    if (p->len == 0 || taken->len == 0 || !prefix6_overlaps(p, taken))
        return 0;
    complaints_add(out, definition->key_at[KEY_IPV6_PREFIX], "its prefix %s conflicts with %s",
                   prefix6_format(p, text), owner);
    complaints_remedy(out, "choose another prefix, or none to have one chosen");
    return -EADDRINUSE;
}

static bool forward_taken(const struct forward *f, const struct definition *other)
{
    for (size_t i = 0; i < other->n_forwards; i++) {
        const struct forward *o = &other->forwards[i];
        if (f->protocol == o->protocol && f->external_port == o->external_port &&
            f->address.version == o->address.version)
            return true;
    }
    return false;
}

int definition_check_forwards(const struct definition *definition, const struct definition *other,
                              struct complaints *out)
{
    int result = 0;
    for (size_t i = 0; i < definition->n_forwards; i++) {
        const struct forward *f = &definition->forwards[i];
        if (!forward_taken(f, other))
            continue;
        complaints_add(out, definition->key_at[KEY_PORT_FORWARDING],
                       "%s port %u of the host is forwarded by network '%s' too",
                       f->protocol == FORWARD_TCP ? "TCP" : "UDP", f->external_port,
                       other->net.name);
        complaints_remedy(out, "choose another \"external_port\"");
        result = -EADDRINUSE;
    }
    return result;
}
