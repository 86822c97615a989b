/* SPDX-License-Identifier: Apache-2.0 */
/* netd_msg.c - the form of every message between broker and helper, as data.
 *
 * Two tables say it all: what each body's fields may hold (in the words of netd_field.h),
 * and which body each operation has in which role. The checks walk the tables; a new field or
 * operation is a new line, and nothing can be forgotten in code. Values that
 * need the whole body (a subnet's host bits) have one function per body.
 */
#include "netd_msg.h"

#include "mem.h"
#include "netd_field.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* ---- what each body holds ---- */

static const struct field hello_fields[] = {
    FIELD(RANGE, netd_hello, zero, 0, 0),
};

static const struct field welcome_fields[] = {
    FIELD(RANGE, netd_welcome, netd_pid, 1, INT32_MAX),
    FIELD(RANGE, netd_welcome, anchor_pid, 0, INT32_MAX),
    FIELD(WORD, netd_welcome, uplink_engine),
    FIELD(TEXT, netd_welcome, uplink_state),
};

static const struct field network_fields[] = {
    FIELD(NAME, netd_network, name),
    FIELD(WORD, netd_network, id),
    FIELD(RANGE, netd_network, mode, NET_MODE_SHARED, NET_MODE_HOST),
    FIELD(RANGE, netd_network, anti_spoofing, SPOOF_STRICT, SPOOF_OFF),
    FIELD(RANGE, netd_network, flags, 0, NETD_NET_FLAGS),
    FIELD(RANGE, netd_network, mtu, MTU_MIN, MTU_MAX),
    FIELD(UNICAST4, netd_network, ipv4_base),
    FIELD(RANGE, netd_network, ipv4_prefix, 8, 30),
    FIELD(RANGE, netd_network, uplink, UPLINK_AUTO, UPLINK_KERNEL),
    FIELD(RANGE, netd_network, n_dns_servers, 0, NETD_DNS_SERVERS_MAX),
    FIELD(TAP_OR_NO, netd_network, external_interface),
    FIELD(DOMAIN_OR_NO, netd_network, domain),
};

static const struct field request_fields[] = {
    FIELD(NAME, netd_interface, network),
    FIELD(WORD, netd_interface, id),
    FIELD(NAME_OR_NO, netd_interface, name),
    FIELD(RANGE, netd_interface, uid, 0, UINT32_MAX - 1),
    FIELD(UNICAST4, netd_interface, ipv4),
    FIELD(MAC, netd_interface, mac),
    FIELD(FLAG, netd_interface, offload),
    FIELD(FLAG, netd_interface, isolated),
    FIELD(RANGE, netd_interface, queues, 1, NETD_QUEUES_MAX),
    FIELD(FLAG, netd_interface, by_name),
};

static const struct field tap_field[] = { FIELD(TAP, netd_interface, tap) };

static const struct field update_fields[] = {
    FIELD(NAME, netd_update, network),
    FIELD(RANGE, netd_update, total, 0, NETD_RESERVATIONS_MAX),
    FIELD(RANGE, netd_update, first, 0, NETD_RESERVATIONS_MAX),
    FIELD(RANGE, netd_update, count, 0, NETD_RESERVATIONS),
};

static const struct field reservation_fields[] = {
    FIELD(NAME_OR_NO, netd_reservation, name),
    FIELD(UNICAST4, netd_reservation, ipv4),
    FIELD(MAC, netd_reservation, mac),
};

static const struct field stats_fields[] = {
    FIELD(NAME, netd_stats, network),
    FIELD(TAP_OR_NO, netd_stats, tap),
    FIELD(RANGE, netd_stats, host, 0, NETD_IPV4 | NETD_IPV6),
    FIELD(RANGE, netd_stats, zero, 0, 0),
};

static const struct field name_fields[] = { FIELD(NAME, netd_name, network) };

static const struct field why_fields[] = { FIELD(TEXT, netd_why, why) };

static const struct field lost_fields[] = {
    FIELD(NAME, netd_lost, network),
    FIELD(TEXT, netd_lost, why),
};

static const struct field uplink_fields[] = {
    FIELD(NAME_OR_NO, netd_uplink, network), FIELD(TAP_OR_NO, netd_uplink, interface),
    FIELD(WORD, netd_uplink, engine),        FIELD(TEXT, netd_uplink, state),
    FIELD(TEXT, netd_uplink, note),
};

static const struct field anchor_fields[] = {
    FIELD(RANGE, netd_anchor, pid, 1, INT32_MAX),
    FIELD(RANGE, netd_anchor, zero, 0, 0),
};

static const struct field forward_fields[] = {
    FIELD(NAME, netd_forward, network),
    FIELD(WORD_OR_NO, netd_forward, interface),
    FIELD(RANGE, netd_forward, uid, 0, UINT32_MAX - 1),
    FIELD(RANGE, netd_forward, flags, 0, NETD_FORWARD_DEFINED | NETD_FORWARD_LIVE),
    FIELD(RANGE, netd_forward, protocol, NETD_TCP, NETD_UDP),
    FIELD(RANGE, netd_forward, families, NETD_IPV4, NETD_IPV4 | NETD_IPV6),
    FIELD(RANGE, netd_forward, external_port, 1, UINT16_MAX),
    FIELD(RANGE, netd_forward, internal_port, 1, UINT16_MAX),
};

static const struct field lease_fields[] = {
    FIELD(NAME, netd_lease, network),
    FIELD(UNICAST4, netd_lease, ipv4),
    FIELD(MAC, netd_lease, mac),
    FIELD(FLAG, netd_lease, over),
};

static const struct field stranded_fields[] = {
    FIELD(NAME, netd_stranded, network),
    FIELD(UNICAST4, netd_stranded, ipv4_base),
    FIELD(RANGE, netd_stranded, ipv4_prefix, 8, 30),
    FIELD(RANGE, netd_stranded, ipv6_len, 0, 64),
    FIELD(RANGE, netd_stranded, holder, 0, INT32_MAX),
};

/* ---- what needs the whole body ---- */

static bool prefix6_ok(const struct netd_network *net)
{
    if (net->ipv6_len == 0)
        return netd_is_nothing(net->ipv6, sizeof net->ipv6);
    return net->ipv6_len == 64 && addr6_is_global(net->ipv6) && netd_is_nothing(net->ipv6 + 8, 8);
}

static bool dns_servers_ok(const struct netd_network *net)
{
    for (size_t i = 0; i < N_ELEMENTS(net->dns_servers); i++) {
        struct address server = netd_address_get(net->dns_servers[i]);
        if (i < net->n_dns_servers ? !dns_server_possible(&server, net->flags & NETD_NET_DNS)
                                   : !netd_is_nothing(net->dns_servers[i], 16))
            return false;
    }
    return true;
}

static bool network_ok(const void *body)
{
    struct netd_network net;
    memcpy(&net, body, sizeof net);
    bool host_bits = (net.ipv4_base & (UINT32_MAX >> net.ipv4_prefix)) != 0;
    return net.ipv4_base != 0 && !host_bits && prefix6_ok(&net) && dns_servers_ok(&net);
}

static bool update_ok(const void *body)
{
    struct netd_update update;
    memcpy(&update, body, sizeof update);
    if (update.first + update.count > update.total || (update.count == 0 && update.total > 0))
        return false;
    for (size_t i = 0; i < N_ELEMENTS(update.reservations); i++) {
        const struct netd_reservation *r = &update.reservations[i];
        if (i >= update.count
                ? !netd_is_nothing(r, sizeof *r)
                : !netd_fields_ok(reservation_fields, N_ELEMENTS(reservation_fields), r) ||
                      r->ipv4 == 0 || !netd_is_nothing(r->zero, sizeof r->zero))
            return false;
    }
    return true;
}

static bool padding_ok(const void *body)
{
    return netd_is_nothing((const char *)body + offsetof(struct netd_interface, zero),
                           sizeof(((struct netd_interface *)0)->zero));
}

/* A request cannot name the TAP: that is netd's to choose. */
static bool request_ok(const void *body)
{
    return netd_is_nothing((const char *)body + offsetof(struct netd_interface, tap),
                           NETD_TAP_SIZE) &&
           padding_ok(body);
}

static bool tap_ok(const void *body)
{
    return netd_fields_ok(tap_field, N_ELEMENTS(tap_field), body) && padding_ok(body);
}

static bool is_mapped4(const uint8_t addr[static 16], uint32_t *ret)
{
    static const uint8_t mapped[12] = { [10] = 0xff, 0xff };
    *ret = (uint32_t)addr[12] << 24 | (uint32_t)addr[13] << 16 | (uint32_t)addr[14] << 8 | addr[15];
    return memcmp(addr, mapped, sizeof mapped) == 0;
}

/* A VM's address, and one to listen on that is of the one family there then is. */
static bool listed_forward_ok(const void *body)
{
    static const uint8_t none[16];
    struct netd_forward f;
    uint32_t v4;
    memcpy(&f, body, sizeof f);
    bool listen4 = is_mapped4(f.listen, &v4), any = memcmp(f.listen, none, 16) == 0;
    if (!any && f.families != (listen4 ? NETD_IPV4 : NETD_IPV6))
        return false;
    if (is_mapped4(f.target, &v4))
        return v4 != 0 && netd_is_unicast4(v4);
    return addr6_is_global(f.target);
}

/* Whether anybody listens is not for a request to say. */
static bool forward_ok(const void *body)
{
    struct netd_forward f;
    memcpy(&f, body, sizeof f);
    return !(f.flags & NETD_FORWARD_LIVE) && listed_forward_ok(body);
}

static bool lease_ok(const void *body)
{
    struct netd_lease lease;
    memcpy(&lease, body, sizeof lease);
    return lease.ipv4 != 0 && lease.zero == 0;
}

/* ---- the bodies, and which one an operation has ---- */

enum body {
    B_NONE,
    B_HELLO,
    B_WELCOME,
    B_NETWORK,
    B_REQUEST,
    B_INTERFACE,
    B_UPDATE,
    B_STATS,
    B_NAME,
    B_WHY,
    B_LOST,
    B_UPLINK,
    B_ANCHOR,
    B_LEASE,
    B_FORWARD,
    B_LISTED_FORWARD,
    B_STRANDED
};

static const struct {
    size_t size;
    const struct field *fields;
    size_t n_fields;
    bool (*whole)(const void *body);
} bodies[] = {
#define BODY(type, fields, whole)                                                                  \
    {                                                                                              \
        sizeof(struct type), fields, N_ELEMENTS(fields), whole                                     \
    }
    [B_NONE] = { 0 },
    [B_HELLO] = BODY(netd_hello, hello_fields, NULL),
    [B_WELCOME] = BODY(netd_welcome, welcome_fields, NULL),
    [B_NETWORK] = BODY(netd_network, network_fields, network_ok),
    [B_REQUEST] = BODY(netd_interface, request_fields, request_ok),
    [B_INTERFACE] = BODY(netd_interface, request_fields, tap_ok),
    [B_UPDATE] = BODY(netd_update, update_fields, update_ok),
    [B_STATS] = BODY(netd_stats, stats_fields, NULL),
    [B_NAME] = BODY(netd_name, name_fields, NULL),
    [B_WHY] = BODY(netd_why, why_fields, NULL),
    [B_LOST] = BODY(netd_lost, lost_fields, NULL),
    [B_UPLINK] = BODY(netd_uplink, uplink_fields, NULL),
    [B_ANCHOR] = BODY(netd_anchor, anchor_fields, NULL),
    [B_LEASE] = BODY(netd_lease, lease_fields, lease_ok),
    [B_FORWARD] = BODY(netd_forward, forward_fields, forward_ok),
    [B_LISTED_FORWARD] = BODY(netd_forward, forward_fields, listed_forward_ok),
    [B_STRANDED] = BODY(netd_stranded, stranded_fields, NULL),
};

/* reply: the last one. more: the bodies of those before it, told apart by size. */
static const struct op {
    uint16_t op;
    bool event;
    enum body request, reply, more[4];
} ops[] = {
    { NETD_HELLO, false, B_HELLO, B_WELCOME, { B_NONE } },
    { NETD_INVENTORY,
      false,
      B_NONE,
      B_NONE,
      { B_NETWORK, B_INTERFACE, B_LISTED_FORWARD, B_STRANDED } },
    { NETD_READY, false, B_NONE, B_NONE, { B_NONE } },
    { NETD_BUILD, false, B_NETWORK, B_NONE, { B_NONE } },
    { NETD_REMOVE, false, B_NAME, B_NONE, { B_NONE } },
    { NETD_OPEN_TAP, false, B_REQUEST, B_INTERFACE, { B_NONE } },
    { NETD_STATS, false, B_NONE, B_NONE, { B_STATS } },
    { NETD_LEAVE, false, B_NONE, B_NONE, { B_NONE } },
    { NETD_UPDATE, false, B_UPDATE, B_NONE, { B_NONE } },
    { NETD_ADD_FORWARD, false, B_FORWARD, B_NONE, { B_NONE } },
    { NETD_REMOVE_FORWARD, false, B_FORWARD, B_NONE, { B_NONE } },
    { NETD_TAP_GONE, true, B_NONE, B_INTERFACE, { B_NONE } },
    { NETD_NETWORK_LOST, true, B_NONE, B_LOST, { B_NONE } },
    { NETD_UPLINK, true, B_NONE, B_UPLINK, { B_NONE } },
    { NETD_ANCHOR, true, B_NONE, B_ANCHOR, { B_NONE } },
    { NETD_LEASE, true, B_NONE, B_LEASE, { B_NONE } },
    { NETD_FORWARD, true, B_NONE, B_LISTED_FORWARD, { B_NONE } },
    { NETD_STRANDED, true, B_NONE, B_STRANDED, { B_NONE } },
};

static const struct op *op_find(uint16_t number)
{
    for (size_t i = 0; i < N_ELEMENTS(ops); i++)
        if (ops[i].op == number)
            return &ops[i];
    return NULL;
}

int netd_request_size(uint16_t number)
{
    const struct op *op = op_find(number);
    return op && !op->event ? (int)bodies[op->request].size : -EOPNOTSUPP;
}

static int body_check(enum body kind, const void *body, size_t len)
{
    if (len != bodies[kind].size ||
        !netd_fields_ok(bodies[kind].fields, bodies[kind].n_fields, body))
        return -EPROTO;
    return bodies[kind].whole && !bodies[kind].whole(body) ? -EPROTO : 0;
}

static int request_check(const struct op *op, const struct netd_msg *msg, size_t len)
{
    const struct netd_header *h = &msg->header;
    if (op->event || h->id == 0 || h->flags != 0 || h->err != 0)
        return -EPROTO;
    return body_check(op->request, &msg->body, len);
}

static int more_check(const struct op *op, const struct netd_msg *msg, size_t len)
{
    for (size_t i = 0; i < N_ELEMENTS(op->more); i++)
        if (op->more[i] != B_NONE && bodies[op->more[i]].size == len)
            return body_check(op->more[i], &msg->body, len);
    return -EPROTO;
}

static int answer_check(const struct op *op, const struct netd_msg *msg, size_t len)
{
    const struct netd_header *h = &msg->header;
    if (h->err > 0 || h->err < -4095 || (h->flags & ~NETD_MORE) || (h->id == 0) != op->event)
        return -EPROTO;
    if ((op->event || h->err) && (h->flags || (op->event && h->err)))
        return -EPROTO;
    if (h->err)
        return body_check(B_WHY, &msg->body, len);
    if (h->flags & NETD_MORE)
        return more_check(op, msg, len);
    return body_check(op->reply, &msg->body, len);
}

int netd_msg_check(const struct netd_msg *msg, size_t len, enum netd_direction direction)
{
    const struct netd_header *h = &msg->header;
    if (len < sizeof *h || len > sizeof *msg || h->magic != NETD_MAGIC)
        return -EPROTO;
    if (h->version != NETD_VERSION)
        return -EPROTONOSUPPORT;
    const struct op *op = op_find(h->op);
    if (!op || h->zero != 0)
        return -EPROTO;
    return direction == NETD_TO_HELPER ? request_check(op, msg, len - sizeof *h)
                                       : answer_check(op, msg, len - sizeof *h);
}
