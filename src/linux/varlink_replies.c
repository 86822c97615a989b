/* SPDX-License-Identifier: Apache-2.0 */
/* varlink_replies.c - the replies of com.github.nirs.vmnet-broker, each built from what the core
 * and the backend show. Those about forwards are in varlink_forwards.c.
 *
 * json_pack(): 's' must be UTF-8, so whatever others chose goes through text_json();
 * 's*' and 'o*' leave out what is NULL, which is how an optional member is absent.
 */
#include "varlink_replies.h"

#include "accounts.h"
#include "file.h"
#include "mem.h"
#include "str.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINK_HEADER 14u /* Ethernet: two addresses and a type */

/* ---- Acquire, StartInterface, List ---- */

json_t *text_json(const char *text)
{
    json_t *json = json_string(text);
    if (json)
        return json;
    AUTO_FREE char *plain = strdup(text);
    if (!plain)
        return NULL;
    for (char *c = plain; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return json_string(plain);
}

static json_t *network_json(const struct net_handle *handle)
{
    const struct netd_network *spec = &handle->spec;
    struct subnet4 subnet = { spec->ipv4_base, spec->ipv4_prefix };
    struct prefix6 prefix = { .len = spec->ipv6_len };
    char subnet4[SUBNET4_TEXT], gateway4[ADDR4_TEXT], prefix6[PREFIX6_TEXT], gateway6[ADDR6_TEXT];
    uint8_t router[16] = { 0 };
    bool has4 = subnet.prefix != 0, has6 = prefix.len != 0;

    memcpy(prefix.addr, spec->ipv6, sizeof prefix.addr);
    if (has6)
        prefix6_gateway(&prefix, router);
    return json_pack("{s:s, s:s, s:s, s:i, s:s*, s:s*, s:s*, s:s*, s:o}", "name", spec->name, "id",
                     spec->id, "mode", net_mode_name((enum net_mode)spec->mode), "mtu",
                     (int)spec->mtu, "ipv4_subnet", has4 ? subnet4_format(subnet, subnet4) : NULL,
                     "ipv4_gateway", has4 ? addr4_format(subnet4_gateway(subnet), gateway4) : NULL,
                     "ipv6_prefix", has6 ? prefix6_format(&prefix, prefix6) : NULL, "ipv6_gateway",
                     has6 ? addr6_format(router, gateway6) : NULL, "uplink",
                     text_json(handle->uplink));
}

json_t *acquire_reply(const struct net_handle *handle)
{
    return json_pack("{s:o}", "network", network_json(handle));
}

static json_t *mac_json(const uint8_t mac[static 6])
{
    struct mac value;
    char text[MAC_TEXT];
    memcpy(value.b, mac, sizeof value.b);
    return json_string(mac_format(value, text));
}

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static const char *addr4_or_null(uint32_t addr, char text[static ADDR4_TEXT])
{
    return addr ? addr4_format(addr, text) : NULL;
}

static json_t *indices_json(unsigned n)
{
    json_t *array = json_array();
    for (unsigned i = 0; array && i < n; i++)
        if (json_array_append_new(array, json_integer(i)) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

json_t *start_interface_reply(const struct iface_handle *handle)
{
    const struct netd_interface *spec = &handle->spec;
    char addr4[ADDR4_TEXT];
    bool by_name = spec->by_name;
    return json_pack("{s:{s:s, s:s, s:s*, s:o, s:i, s:i, s:s*, s:o, s:s*, s:o*}}", "interface",
                     "id", spec->id, "network_name", spec->network, "name", or_null(spec->name),
                     "mac_address", mac_json(spec->mac), "mtu", (int)handle->mtu, "max_packet_size",
                     (int)(handle->mtu + LINK_HEADER), "ipv4_address",
                     addr4_or_null(spec->ipv4, addr4), "fds",
                     indices_json(by_name ? 0 : handle->n_fds), "tap", by_name ? spec->tap : NULL,
                     "hold_fd", by_name ? json_integer(0) : NULL);
}

static json_t *network_status_json(const struct network_view *network)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:o*}", "name", network->def->name, "mode",
                     net_mode_name(network->def->mode), "state", network->state, "clients",
                     (int)network->clients, "interfaces", (int)network->interfaces, "network",
                     network->handle ? network_json(network->handle) : NULL);
}

json_t *list_reply_one(const struct network_view *network)
{
    return network ? json_pack("{s:o}", "network", network_status_json(network)) : json_object();
}

/* An array of what make() gives for each of n; NULL when one of them is NULL. */
static json_t *array_json(size_t n, json_t *(*make)(const void *of, size_t i), const void *of)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < n; i++)
        if (json_array_append_new(array, make(of, i)) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *nth_status(const void *of, size_t i)
{
    const struct broker_report *report = of;
    return network_status_json(&report->networks[i]);
}

json_t *list_reply(const struct broker_report *report)
{
    return json_pack("{s:o}", "networks", array_json(report->n_networks, nth_status, report));
}

/* ---- Status ---- */

/* The names of the client before: a program may have hundreds of connections, and each
 * name costs some system calls. */
struct client_names {
    struct client_view of;
    char user[ACCOUNT_NAME_SIZE], command[64];
};

/* The process may have gone; that is no reason not to name its connection. */
static void find_command(pid_t pid, char ret[static 64])
{
    char path[32] = "";
    AUTO_FREE char *text = NULL;
    (void)str_copy(ret, 64, "?");
    (void)str_format(path, sizeof path, "/proc/%d/comm", (int)pid);
    if (file_read(AT_FDCWD, path, 64, &text, NULL) < 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    (void)str_copy(ret, 64, text);
}

static json_t *client_json(const struct client_view *client, struct client_names *names)
{
    if (client->uid != names->of.uid || names->user[0] == '\0')
        (void)account_user_name(client->uid, names->user);
    if (client->pid != names->of.pid || names->command[0] == '\0')
        find_command(client->pid, names->command);
    names->of = *client;
    return json_pack("{s:i, s:I, s:o, s:o}", "pid", (int)client->pid, "uid",
                     (json_int_t)client->uid, "user", text_json(names->user), "command",
                     text_json(names->command));
}

static json_t *clients_json(const struct network_view *network)
{
    struct client_names names = { .user = "" };
    json_t *array = json_array();

    for (size_t i = 0; array && i < network->n_holders; i++)
        if (json_array_append_new(array, client_json(&network->holders[i], &names)) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *entry_json(const struct iface_entry *entry)
{
    const struct netd_interface *spec = &entry->spec;
    const struct netd_stats *stats = &entry->stats;
    char addr4[ADDR4_TEXT];
    return json_pack(
        "{s:s, s:s*, s:o, s:s*, s:s, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id", spec->id,
        "name", or_null(spec->name), "mac_address", mac_json(spec->mac), "ipv4_address",
        addr4_or_null(spec->ipv4, addr4), "tap", spec->tap, "uid", (json_int_t)spec->uid, "queues",
        (int)spec->queues, "rx_bytes", (json_int_t)stats->rx_bytes, "tx_bytes",
        (json_int_t)stats->tx_bytes, "rx_packets", (json_int_t)stats->rx_packets, "tx_packets",
        (json_int_t)stats->tx_packets, "dropped", (json_int_t)stats->dropped, "denied_questions",
        (json_int_t)stats->denied_questions, "denied_connections", (json_int_t)stats->denied_flows);
}

static json_t *interfaces_json(const struct network_view *network,
                               const struct broker_report *report)
{
    json_t *array = json_array();
    const struct iface_entry *entry;

    if (!array || !network->handle)
        return array;
    TAILQ_FOREACH (entry, &network->handle->interfaces, link) {
        if (!report->sees_all && entry->spec.uid != report->asker)
            continue;
        if (json_array_append_new(array, entry_json(entry)) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *text_or_null(const char *text)
{
    return text ? text_json(text) : NULL;
}

static json_t *keys_json(definition_keys keys)
{
    json_t *array = json_array();
    for (unsigned key = 0; array && key < DEFINITION_KEYS; key++)
        if (keys & 1u << key &&
            json_array_append_new(array, json_string(definition_key_name(key))) < 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

/* NULL: the host is not on it with that family. */
static json_t *host_json(const struct net_handle *handle, enum netd_family family)
{
    const struct netd_network *spec = handle ? &handle->spec : NULL;
    char text[ADDR6_TEXT];
    uint8_t addr[16];

    if (!handle || !(handle->host & family))
        return NULL;
    if (family == NETD_IPV4) {
        struct subnet4 subnet = { .base = spec->ipv4_base, .prefix = spec->ipv4_prefix };
        return json_string(addr4_format(subnet4_host(subnet), text));
    }
    struct prefix6 prefix = { .len = spec->ipv6_len };
    memcpy(prefix.addr, spec->ipv6, sizeof prefix.addr);
    prefix6_host(&prefix, addr);
    return json_string(addr6_format(addr, text));
}

static json_t *nth_details(const void *of, size_t i)
{
    const struct broker_report *report = of;
    const struct network_view *network = &report->networks[i];
    const struct definition *definition = network->definition;
    return json_pack(
        "{s:o, s:o*, s:o*, s:o*, s:o*, s:o, s:o, s:o}", "status", network_status_json(network),
        "description", text_or_null(definition->description), "definition",
        text_or_null(definition->file), "host_ipv4_address", host_json(network->handle, NETD_IPV4),
        "host_ipv6_address", host_json(network->handle, NETD_IPV6), "pending",
        keys_json(network->pending), "clients", clients_json(network), "interfaces",
        interfaces_json(network, report));
}

static json_t *nth_problem(const void *arg, size_t i)
{
    const struct backend_view *backend = arg;
    return text_json(backend->problems[i]);
}

static json_t *broker_status_json(const struct broker_report *report,
                                  const struct transport_about *about)
{
    const struct backend_view *backend = &report->backend;
    json_t *namespace_pid = backend->namespace_pid ? json_integer(backend->namespace_pid) : NULL;
    return json_pack("{s:s, s:s, s:i, s:I, s:s, s:o, s:o, s:o*, s:o}", "version", about->version,
                     "instance", about->instance, "pid", (int)getpid(), "uptime_seconds",
                     (json_int_t)(report->uptime_usec / 1000000), "uplink_engine",
                     backend->uplink_engine ? backend->uplink_engine : "none", "state_directory",
                     text_json(about->state_directory), "log", text_json(about->log),
                     "namespace_pid", namespace_pid, "problems",
                     array_json(backend->n_problems, nth_problem, backend));
}

json_t *status_reply(const struct broker_report *report, const struct transport_about *about)
{
    return json_pack("{s:o, s:o}", "broker", broker_status_json(report, about), "networks",
                     array_json(report->n_networks, nth_details, report));
}

/* ---- Monitor ---- */

static const char *const event_names[] = {
    [EVENT_NETWORK_CREATED] = "network_created",
    [EVENT_NETWORK_REMOVED] = "network_removed",
    [EVENT_CLIENT_CAME] = "client_came",
    [EVENT_CLIENT_LEFT] = "client_left",
    [EVENT_INTERFACE_STARTED] = "interface_started",
    [EVENT_INTERFACE_STOPPED] = "interface_stopped",
    [EVENT_ADDRESS_GIVEN] = "address_given",
    [EVENT_UPLINK_CHANGED] = "uplink_changed",
    [EVENT_DEFINITION_CHANGED] = "definition_changed",
    [EVENT_DEFINITION_BROKEN] = "definition_broken",
    [EVENT_MISSED] = "missed",
};
static_assert(N_ELEMENTS(event_names) == EVENT_KINDS, "every kind has a name");

static json_t *event_interface_json(const struct event_interface *interface)
{
    char addr4[ADDR4_TEXT];
    return json_pack("{s:s*, s:s*, s:o, s:s*, s:I}", "id", interface->id, "name", interface->name,
                     "mac_address", mac_json(interface->mac.b), "ipv4_address",
                     addr4_or_null(interface->ipv4, addr4), "uid", (json_int_t)interface->uid);
}

json_t *event_reply(const struct event *event)
{
    struct client_names names = { .user = "" };
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return json_pack("{s:{s:I, s:s, s:s*, s:o*, s:o*, s:I, s:o*}}", "event", "time",
                     (json_int_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, "what",
                     event_names[event->kind], "network", event->network, "client",
                     event->client ? client_json(event->client, &names) : NULL, "interface",
                     event->interface ? event_interface_json(event->interface) : NULL, "count",
                     (json_int_t)event->count, "message", text_or_null(event->message));
}

/* ---- Leases ---- */

static const char *const lease_names[] = { [LEASE_LIVE] = "live",
                                           [LEASE_REMEMBERED] = "remembered",
                                           [LEASE_RESERVED] = "reserved",
                                           [LEASE_OTHER] = "other" };
static_assert(N_ELEMENTS(lease_names) == LEASE_KINDS, "every kind has a name");

static json_t *nth_lease(const void *of, size_t i)
{
    const struct lease_view *lease = (const struct lease_view *)of + i;
    json_t *uid = lease->uid == (uid_t)-1 ? NULL : json_integer(lease->uid);
    json_t *expires = lease->expires == 0 ? NULL : json_integer((json_int_t)lease->expires);
    char addr4[ADDR4_TEXT];
    return json_pack("{s:s, s:s, s:s, s:o, s:s*, s:o*, s:o*}", "network_name", lease->network,
                     "state", lease_names[lease->kind], "ipv4_address",
                     addr4_format(lease->ipv4, addr4), "mac_address", mac_json(lease->mac.b),
                     "name", or_null(lease->name), "uid", uid, "expires", expires);
}

json_t *leases_reply(const struct lease_view *leases, size_t n)
{
    return json_pack("{s:o}", "leases", array_json(n, nth_lease, leases));
}
