/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_status.c - everything about the broker and its networks, for people. */
#include "call.h"
#include "mem.h"
#include "show.h"
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

DEFINE_AUTO(json_t *, json_decref);
DEFINE_AUTO(struct table *, table_free);

static void print_broker(const json_t *broker)
{
    static const struct {
        json_int_t seconds;
        const char *name;
    } units[] = { { 86400, "days" }, { 3600, "hours" }, { 60, "minutes" }, { 1, "seconds" } };
    long long uptime = member_number(broker, "uptime_seconds");
    size_t u = 0;
    while (u + 1 < N_ELEMENTS(units) && uptime < 2 * units[u].seconds)
        u++;

    print_clean("broker    %s instance, version %s, pid %lld, up %lld %s",
                or_dash(member_text(broker, "instance")), or_dash(member_text(broker, "version")),
                member_number(broker, "pid"), (long long)(uptime / units[u].seconds),
                units[u].name);
    print_clean("uplink    %s", or_dash(member_text(broker, "uplink_engine")));
    print_clean("state     %s", or_dash(member_text(broker, "state_directory")));
    print_clean("log       %s", or_dash(member_text(broker, "log")));

    size_t i;
    json_t *problem;
    json_array_foreach (json_object_get(broker, "problems"), i, problem)
        print_clean("problem   %s", or_dash(json_string_value(problem)));
}

/* By which addresses host and VMs reach each other, in a system instance. */
static void print_host(const json_t *details)
{
    const char *ipv4 = member_text(details, "host_ipv4_address");
    const char *ipv6 = member_text(details, "host_ipv6_address");

    if (ipv4 || ipv6)
        print_clean("  host      %s%s%s", ipv4 ? ipv4 : "", ipv4 && ipv6 ? ", " : "",
                    ipv6 ? ipv6 : "");
}

static void print_network(const json_t *details)
{
    const json_t *status = json_object_get(details, "status");
    const json_t *network = json_object_get(status, "network");
    print_clean("%s", or_dash(member_text(status, "name")));
    print_clean("  mode      %s, %s", or_dash(member_text(status, "mode")),
                or_dash(member_text(status, "state")));
    if (!network || json_is_null(network))
        return;
    print_clean("  ipv4      %s, gateway %s", or_dash(member_text(network, "ipv4_subnet")),
                or_dash(member_text(network, "ipv4_gateway")));
    print_clean("  ipv6      %s, gateway %s", or_dash(member_text(network, "ipv6_prefix")),
                or_dash(member_text(network, "ipv6_gateway")));
    print_host(details);
    print_clean("  mtu       %lld", member_number(network, "mtu"));
    print_clean("  uplink    %s", or_dash(member_text(network, "uplink")));
}

static void print_clients(const json_t *status, const json_t *clients)
{
    size_t i;
    json_t *client;
    if (json_array_size(clients) == 0) {
        print_clean("  clients   %lld", member_number(status, "clients"));
        return;
    }
    AUTO(table_free) struct table *table = table_new("CLIENT> USER COMMAND");
    json_array_foreach (clients, i, client) {
        char pid[24];
        (void)snprintf(pid, sizeof pid, "%lld", member_number(client, "pid"));
        const char *cells[] = { pid, member_text(client, "user"), member_text(client, "command") };
        table_add(table, cells);
    }
    table_print(table, stdout, "  ");
}

static void add_interface(struct table *table, const json_t *iface)
{
    char rx[SIZE_TEXT], tx[SIZE_TEXT], dropped[24];
    (void)snprintf(dropped, sizeof dropped, "%lld", member_number(iface, "dropped"));
    const char *name = member_text(iface, "name");
    const char *cells[] = {
        name ? name : member_text(iface, "id"),
        member_text(iface, "mac_address"),
        member_text(iface, "ipv4_address"),
        member_text(iface, "tap"),
        format_size((double)member_number(iface, "rx_bytes"), rx),
        format_size((double)member_number(iface, "tx_bytes"), tx),
        dropped,
    };
    table_add(table, cells);
}

/* A VM that has used up its share of something notices only that nobody answers. */
static void print_denied(const json_t *iface)
{
    const char *name =
        member_text(iface, "name") ? member_text(iface, "name") : or_dash(member_text(iface, "id"));
    long long questions = member_number(iface, "denied_questions");
    long long connections = member_number(iface, "denied_connections");

    if (questions > 0)
        print_clean(
            "  problem   %s asks DNS or DHCP more than its share: %lld packets were dropped "
            "lately (vmnet-broker(8))",
            name, questions);
    if (connections > 0)
        print_clean("  problem   %s has as many connections as its share: %lld packets of new ones "
                    "were dropped lately (vmnet-broker(8))",
                    name, connections);
}

static void print_interfaces(const json_t *interfaces)
{
    size_t i;
    json_t *iface;
    if (json_array_size(interfaces) == 0)
        return;
    AUTO(table_free)
    struct table *table = table_new("INTERFACE MAC IPV4 TAP RECEIVED> SENT> DROPPED>");
    json_array_foreach (interfaces, i, iface)
        add_interface(table, iface);
    table_print(table, stdout, "  ");
    json_array_foreach (interfaces, i, iface)
        print_denied(iface);
}

/* What is said of it in a file, and what of that waits. */
static void print_definition(const json_t *details)
{
    const json_t *pending = json_object_get(details, "pending");
    size_t i;
    json_t *key;

    if (member_text(details, "description"))
        print_clean("  about     %s", member_text(details, "description"));
    if (member_text(details, "definition"))
        print_clean("  defined   %s", member_text(details, "definition"));
    json_array_foreach (pending, i, key)
        print_clean("  pending   %s, until the network is created again",
                    or_dash(json_string_value(key)));
}

static void print_all(const json_t *parameters)
{
    size_t i;
    json_t *details;
    print_broker(json_object_get(parameters, "broker"));
    json_array_foreach (json_object_get(parameters, "networks"), i, details) {
        const json_t *status = json_object_get(details, "status");
        putchar('\n');
        print_network(details);
        print_definition(details);
        print_clients(status, json_object_get(details, "clients"));
        print_interfaces(json_object_get(details, "interfaces"));
    }
}

/* Whoever asks for everything learns that there is nothing; whoever names a network has
 * not got it. */
static int not_running(const struct ctl *ctl, const char *name)
{
    if (say_not_running(ctl) != EXIT_OK || name)
        return EXIT_FAILED;
    if (!ctl->json)
        return EXIT_OK;
    AUTO(json_decref) json_t *nothing = json_pack("{s:n, s:[]}", "broker", "networks");
    return print_json(nothing);
}

int cmd_status(struct ctl *ctl, int argc, char **argv)
{
    AUTO_REPLY reply = REPLY_INIT;
    int r = common_options(ctl, argc, argv, false, 0, 1);
    if (r >= 0)
        return r;

    const char *name = argv[optind];
    r = call_about(ctl, "Status", name, &reply);
    if (r == -ENOTCONN)
        return not_running(ctl, name);
    if (r < 0)
        return EXIT_FAILED;
    if (ctl->json)
        return print_json(reply.parameters);
    print_all(reply.parameters);
    return EXIT_OK;
}
