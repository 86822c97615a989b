/* SPDX-License-Identifier: Apache-2.0 */
/* journal_json.c - see journal_part.h. */
#include "journal_part.h"

#include "fd.h"
#include "str.h"
#include "transit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

const char *const journal_names[JOURNAL_COPIES] = { "journal", "journal.copy" };

const char *const journal_child_names[JOURNAL_CHILDREN] = { [JOURNAL_DNSMASQ] = "dnsmasq",
                                                            [JOURNAL_ENGINE] = "engine",
                                                            [JOURNAL_RELAY] = "relay",
                                                            [JOURNAL_FORWARDER] = "forwarder",
                                                            [JOURNAL_OWN_RELAY] = "own-relay" };

int journal_boot_id(char boot[static BOOT_SIZE])
{
    AUTO_FD fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return -errno;
    got = read(fd, boot, BOOT_SIZE - 1);
    if (got <= 0)
        return -EIO;
    boot[got] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
    return 0;
}

enum kind { TEXT, NUMBER, BYTE, BYTES };

struct member {
    const char *key;
    enum kind kind;
    size_t offset, size;
};

#define MEMBER(kind, type, name)                                                                   \
    {                                                                                              \
#name, kind, offsetof(struct type, name), sizeof(((struct type *)0)->name)                 \
    }

static const struct member network_members[] = {
    MEMBER(TEXT, netd_network, name),
    MEMBER(TEXT, netd_network, id),
    MEMBER(NUMBER, netd_network, mode),
    MEMBER(NUMBER, netd_network, anti_spoofing),
    MEMBER(NUMBER, netd_network, flags),
    MEMBER(NUMBER, netd_network, mtu),
    MEMBER(NUMBER, netd_network, ipv4_base),
    MEMBER(NUMBER, netd_network, ipv4_prefix),
    MEMBER(BYTES, netd_network, ipv6),
    MEMBER(NUMBER, netd_network, ipv6_len),
    MEMBER(NUMBER, netd_network, idle_timeout_sec),
    MEMBER(NUMBER, netd_network, uplink),
    MEMBER(NUMBER, netd_network, n_dns_servers),
    MEMBER(BYTES, netd_network, dns_servers),
    MEMBER(TEXT, netd_network, external_interface),
    MEMBER(TEXT, netd_network, domain),
};

static const struct member reservation_members[] = {
    MEMBER(TEXT, netd_reservation, name),
    MEMBER(NUMBER, netd_reservation, ipv4),
    MEMBER(BYTES, netd_reservation, mac),
};

static const struct member interface_members[] = {
    MEMBER(TEXT, netd_interface, network),  MEMBER(TEXT, netd_interface, id),
    MEMBER(TEXT, netd_interface, name),     MEMBER(TEXT, netd_interface, tap),
    MEMBER(NUMBER, netd_interface, uid),    MEMBER(NUMBER, netd_interface, ipv4),
    MEMBER(BYTES, netd_interface, mac),     MEMBER(BYTE, netd_interface, offload),
    MEMBER(BYTE, netd_interface, isolated), MEMBER(NUMBER, netd_interface, queues),
    MEMBER(BYTE, netd_interface, by_name),
};

static const struct member forward_members[] = {
    MEMBER(TEXT, netd_forward, network),         MEMBER(TEXT, netd_forward, interface),
    MEMBER(NUMBER, netd_forward, uid),           MEMBER(NUMBER, netd_forward, flags),
    MEMBER(NUMBER, netd_forward, protocol),      MEMBER(NUMBER, netd_forward, families),
    MEMBER(NUMBER, netd_forward, external_port), MEMBER(NUMBER, netd_forward, internal_port),
    MEMBER(BYTES, netd_forward, listen),         MEMBER(BYTES, netd_forward, target),
};

#define BYTES_MAX sizeof(((struct netd_network *)0)->dns_servers)

static json_t *bytes_to_json(const uint8_t *bytes, size_t n)
{
    char hex[2 * BYTES_MAX + 1] = "";

    for (size_t i = 0; i < n; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return json_string(hex);
}

static int json_to_bytes(const json_t *value, uint8_t *bytes, size_t n)
{
    const char *hex = json_string_value(value);

    if (!hex || strlen(hex) != 2 * n)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++)
        if (sscanf(hex + 2 * i, "%2hhx", &bytes[i]) != 1)
            return -EBADMSG;
    return 0;
}

static json_t *member_to_json(const struct member *m, const char *at)
{
    uint32_t number;

    switch (m->kind) {
    case TEXT:
        return json_string(at);
    case NUMBER:
        memcpy(&number, at, sizeof number);
        return json_integer(number);
    case BYTE:
        return json_integer(*at);
    case BYTES:
        return bytes_to_json((const uint8_t *)at, m->size);
    }
    return NULL;
}

static int json_to_member(const struct member *m, const json_t *value, char *at)
{
    json_int_t number = json_integer_value(value);
    uint32_t narrow = (uint32_t)number;

    switch (m->kind) {
    case TEXT:
        return json_is_string(value) ? str_copy(at, m->size, json_string_value(value)) : -EBADMSG;
    case NUMBER:
        memcpy(at, &narrow, sizeof narrow);
        return json_is_integer(value) && number >= 0 && number <= UINT32_MAX ? 0 : -EBADMSG;
    case BYTE:
        *at = (char)number;
        return json_is_integer(value) && (number == 0 || number == 1) ? 0 : -EBADMSG;
    case BYTES:
        return json_to_bytes(value, (uint8_t *)at, m->size);
    }
    return -EBADMSG;
}

static int members_put(json_t *line, const struct member *members, size_t n, const void *from)
{
    for (size_t i = 0; i < n; i++)
        if (json_object_set_new(
                line, members[i].key,
                member_to_json(&members[i], (const char *)from + members[i].offset)) < 0)
            return -ENOMEM;
    return 0;
}

/* A member that an older netd did not know stays zero: as if nobody had asked for it. What
 * must not be zero fails in the check. */
static int members_get(const json_t *line, const struct member *members, size_t n, void *to)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        const json_t *value = json_object_get(line, members[i].key);

        if (value)
            r = json_to_member(&members[i], value, (char *)to + members[i].offset);
    }
    return r;
}

json_t *journal_line_boot(void)
{
    char boot[BOOT_SIZE];

    return journal_boot_id(boot) < 0 ? NULL : json_pack("{s:s,s:s}", "fact", "boot", "boot", boot);
}

json_t *journal_line_anchor(const struct process *anchor)
{
    return json_pack("{s:s,s:i,s:I}", "fact", "anchor", "pid", (int)anchor->pid, "born",
                     (json_int_t)anchor->born);
}

json_t *journal_line_index(const char *fact, uint32_t index)
{
    return json_pack("{s:s,s:i}", "fact", fact, "index", (int)index);
}

json_t *journal_line_stranded(uint32_t index, uint64_t taps)
{
    return json_pack("{s:s,s:i,s:I}", "fact", "stranded", "index", (int)index, "taps",
                     (json_int_t)taps);
}

json_t *journal_line_network(uint32_t index, const struct netd_network *network)
{
    AUTO(json_decref) json_t *line = journal_line_index("network", index);

    if (members_put(line, network_members, N_ELEMENTS(network_members), network) < 0)
        return NULL;
    return take_ptr(&line);
}

json_t *journal_line_spare_tap(uint32_t index, const char *tap)
{
    return json_pack("{s:s,s:i,s:s}", "fact", "spare-tap", "index", (int)index, "tap", tap);
}

json_t *journal_line_tap(uint32_t index, const struct netd_interface *interface)
{
    AUTO(json_decref) json_t *line = journal_line_index("tap", index);

    if (members_put(line, interface_members, N_ELEMENTS(interface_members), interface) < 0)
        return NULL;
    return take_ptr(&line);
}

static int put_reservations(json_t *line, const struct netd_reservation *reservations, size_t n)
{
    json_t *list = json_array();

    if (json_object_set_new(line, "reservations", list) < 0) /* which takes it over */
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_object();

        if (json_array_append_new(list, one) < 0 ||
            members_put(one, reservation_members, N_ELEMENTS(reservation_members),
                        &reservations[i]) < 0)
            return -ENOMEM;
    }
    return 0;
}

json_t *journal_line_update(uint32_t index, uint32_t idle_timeout_sec,
                            const struct netd_reservation *reservations, size_t n)
{
    AUTO(json_decref) json_t *line = journal_line_index("update", index);

    if (json_object_set_new(line, "idle_timeout_sec", json_integer(idle_timeout_sec)) < 0 ||
        put_reservations(line, reservations, n) < 0)
        return NULL;
    return take_ptr(&line);
}

json_t *journal_line_child(enum journal_child kind, uint32_t index, const struct process *child)
{
    return json_pack("{s:s,s:s,s:i,s:i,s:I}", "fact", "child", "kind", journal_child_names[kind],
                     "index", (int)index, "pid", (int)child->pid, "born", (json_int_t)child->born);
}

json_t *journal_line_forward(const struct journal_forward *forward)
{
    AUTO(json_decref) json_t *line = journal_line_index("forward", forward->index);

    if (json_object_set_new(line, "number", json_integer(forward->number)) < 0 ||
        members_put(line, forward_members, N_ELEMENTS(forward_members), &forward->forward) < 0)
        return NULL;
    return take_ptr(&line);
}

int journal_get_network(const json_t *line, struct netd_network *ret)
{
    struct netd_msg msg = {
        .header = { .magic = NETD_MAGIC, .version = NETD_VERSION, .op = NETD_BUILD, .id = 1 }
    };

    if (members_get(line, network_members, N_ELEMENTS(network_members), &msg.body.network) < 0 ||
        netd_msg_check(&msg, sizeof msg.header + sizeof msg.body.network, NETD_TO_HELPER) < 0)
        return -EBADMSG;
    *ret = msg.body.network;
    return 0;
}

int journal_get_interface(const json_t *line, struct netd_interface *ret)
{
    struct netd_msg msg = {
        .header = { .magic = NETD_MAGIC, .version = NETD_VERSION, .op = NETD_OPEN_TAP, .id = 1 }
    };

    if (members_get(line, interface_members, N_ELEMENTS(interface_members), &msg.body.interface) <
            0 ||
        netd_msg_check(&msg, sizeof msg.header + sizeof msg.body.interface, NETD_TO_BROKER) < 0)
        return -EBADMSG;
    *ret = msg.body.interface;
    return 0;
}

int journal_get_reservation(const json_t *line, struct netd_reservation *ret)
{
    struct netd_msg msg = {
        .header = { .magic = NETD_MAGIC, .version = NETD_VERSION, .op = NETD_UPDATE, .id = 1 },
        .body.update = { .network = "any", .total = 1, .count = 1 }
    };
    struct netd_reservation *reservation = &msg.body.update.reservations[0];

    if (members_get(line, reservation_members, N_ELEMENTS(reservation_members), reservation) < 0 ||
        netd_msg_check(&msg, sizeof msg.header + sizeof msg.body.update, NETD_TO_HELPER) < 0)
        return -EBADMSG;
    *ret = *reservation;
    return 0;
}

int journal_get_forward(const json_t *line, struct netd_forward *ret)
{
    struct netd_msg msg = {
        .header = { .magic = NETD_MAGIC, .version = NETD_VERSION, .op = NETD_ADD_FORWARD, .id = 1 }
    };

    if (members_get(line, forward_members, N_ELEMENTS(forward_members), &msg.body.forward) < 0 ||
        netd_msg_check(&msg, sizeof msg.header + sizeof msg.body.forward, NETD_TO_HELPER) < 0)
        return -EBADMSG;
    *ret = msg.body.forward;
    return 0;
}

/* ---- the kernel uplink ----------------------------------------------------------------- */

static json_t *names_to_json(const struct link_names *names)
{
    json_t *list = json_array();

    for (uint32_t i = 0; list && i < names->n && i < HOST_NAT_LINKS_MAX; i++)
        if (json_array_append_new(list, json_string(names->name[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

json_t *journal_line_host_nat(const struct host_nat_plan *plan)
{
    return json_pack("{s:s,s:I,s:o,s:o}", "fact", "host-nat", "transit", (json_int_t)plan->transit,
                     "on4", names_to_json(&plan->on4), "on6", names_to_json(&plan->on6));
}

static int json_to_names(const json_t *list, struct link_names *ret)
{
    json_t *name;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) > HOST_NAT_LINKS_MAX)
        return -EBADMSG;
    json_array_foreach (list, i, name) {
        const char *text = json_string_value(name);

        if (!text || str_copy(ret->name[i], sizeof ret->name[i], text) < 0)
            return -EBADMSG;
        ret->n++;
    }
    return host_nat_names_ok(ret) ? 0 : -EBADMSG;
}

int journal_get_host_nat(const json_t *line, struct host_nat_plan *ret)
{
    json_int_t transit = json_integer_value(json_object_get(line, "transit"));
    struct host_nat_plan plan = { .transit = (uint32_t)transit };

    if (transit < 0 || transit > UINT32_MAX || (transit != 0 && !transit_valid(plan.transit)) ||
        json_to_names(json_object_get(line, "on4"), &plan.on4) < 0 ||
        json_to_names(json_object_get(line, "on6"), &plan.on6) < 0)
        return -EBADMSG;
    *ret = plan;
    return 0;
}
