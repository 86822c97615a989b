/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_status.c - everything about the broker and its networks, for people. */
#include "call.h"
#include "mem.h"
#include "table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

DEFINE_AUTO(json_t *, json_decref);
DEFINE_AUTO(struct table *, table_free);

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* A line of words from elsewhere, on a terminal. */
__attribute__((format(printf, 1, 2))) static void print_clean(const char *fmt, ...)
{
    AUTO_FREE char *line = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&line, fmt, ap);
    va_end(ap);
    if (n < 0) {
        line = NULL;
        return;
    }
    for (char *c = line; *c; c++)
        putchar((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
    putchar('\n');
}

static const char *or_dash(const char *value)
{
    return value && value[0] ? value : "-";
}

static void print_broker(const json_t *broker)
{
    static const struct {
        json_int_t seconds;
        const char *name;
    } units[] = { { 86400, "days" }, { 3600, "hours" }, { 60, "minutes" }, { 1, "seconds" } };
    json_int_t uptime = number(broker, "uptime_seconds");
    size_t u = 0;
    while (u + 1 < N_ELEMENTS(units) && uptime < 2 * units[u].seconds)
        u++;

    print_clean("broker    %s instance, version %s, pid %lld, up %lld %s",
                or_dash(text(broker, "instance")), or_dash(text(broker, "version")),
                (long long)number(broker, "pid"), (long long)(uptime / units[u].seconds),
                units[u].name);
    print_clean("uplink    %s", or_dash(text(broker, "uplink_engine")));
    print_clean("state     %s", or_dash(text(broker, "state_directory")));
    print_clean("log       %s", or_dash(text(broker, "log")));

    size_t i;
    json_t *problem;
    json_array_foreach (json_object_get(broker, "problems"), i, problem)
        print_clean("problem   %s", or_dash(json_string_value(problem)));
}

static void print_network(const json_t *status)
{
    const json_t *network = json_object_get(status, "network");
    print_clean("%s", or_dash(text(status, "name")));
    print_clean("  mode      %s, %s", or_dash(text(status, "mode")),
                or_dash(text(status, "state")));
    if (!network || json_is_null(network))
        return;
    print_clean("  ipv4      %s, gateway %s", or_dash(text(network, "ipv4_subnet")),
                or_dash(text(network, "ipv4_gateway")));
    print_clean("  ipv6      %s, gateway %s", or_dash(text(network, "ipv6_prefix")),
                or_dash(text(network, "ipv6_gateway")));
    print_clean("  mtu       %lld", (long long)number(network, "mtu"));
    print_clean("  uplink    %s", or_dash(text(network, "uplink")));
}

static void print_clients(const json_t *status, const json_t *clients)
{
    size_t i;
    json_t *client;
    if (json_array_size(clients) == 0) {
        print_clean("  clients   %lld", (long long)number(status, "clients"));
        return;
    }
    AUTO(table_free) struct table *table = table_new("CLIENT> USER COMMAND");
    json_array_foreach (clients, i, client) {
        char pid[24];
        (void)snprintf(pid, sizeof pid, "%lld", (long long)number(client, "pid"));
        const char *cells[] = { pid, text(client, "user"), text(client, "command") };
        table_add(table, cells);
    }
    table_print(table, stdout, "  ");
}

static void add_interface(struct table *table, const json_t *iface)
{
    char rx[SIZE_TEXT], tx[SIZE_TEXT], dropped[24];
    (void)snprintf(dropped, sizeof dropped, "%lld", (long long)number(iface, "dropped"));
    const char *name = text(iface, "name");
    const char *cells[] = {
        name ? name : text(iface, "id"),
        text(iface, "mac_address"),
        text(iface, "ipv4_address"),
        text(iface, "tap"),
        format_size((double)number(iface, "rx_bytes"), rx),
        format_size((double)number(iface, "tx_bytes"), tx),
        dropped,
    };
    table_add(table, cells);
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
}

/* What is said of it in a file, and what of that waits. */
static void print_definition(const json_t *details)
{
    const json_t *pending = json_object_get(details, "pending");
    size_t i;
    json_t *key;

    if (text(details, "description"))
        print_clean("  about     %s", text(details, "description"));
    if (text(details, "definition"))
        print_clean("  defined   %s", text(details, "definition"));
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
        print_network(status);
        print_definition(details);
        print_clients(status, json_object_get(details, "clients"));
        print_interfaces(json_object_get(details, "interfaces"));
    }
}

/* Whoever asks for everything learns that there is nothing; whoever names a network has
 * not got it. */
static int not_running(const struct ctl *ctl, const char *name)
{
    say_not_running(ctl);
    if (name)
        return EXIT_FAILED;
    if (!ctl->json)
        return EXIT_OK;
    AUTO(json_decref) json_t *nothing = json_pack("{s:n, s:[]}", "broker", "networks");
    return print_json(nothing);
}

int cmd_status(struct ctl *ctl, int argc, char **argv)
{
    AUTO_CONNECTION c = CONNECTION_INIT;
    AUTO_REPLY reply = REPLY_INIT;
    int r = common_options(ctl, argc, argv, false, 0, 1);
    if (r >= 0)
        return r;
    const char *name = argv[optind];
    json_t *parameters = json_pack("{s:s*}", "network_name", name);
    if (!parameters) {
        complain("the network's name is not UTF-8 text");
        return EXIT_FAILED;
    }

    r = call_open(ctl, &c);
    if (r < 0) {
        json_decref(parameters);
        return r == -ENOTCONN ? not_running(ctl, name) : EXIT_FAILED;
    }
    if (call_broker(&c, "Status", parameters, name, &reply) < 0)
        return EXIT_FAILED;
    if (ctl->json)
        return print_json(reply.parameters);
    print_all(reply.parameters);
    return EXIT_OK;
}
