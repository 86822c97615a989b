/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_list.c - the networks that exist. */
#include "call.h"
#include "mem.h"
#include "show.h"
#include "table.h"

#include <errno.h>
#include <stdio.h>

DEFINE_AUTO(json_t *, json_decref);
DEFINE_AUTO(struct table *, table_free);

static void add_row(struct table *table, const json_t *status)
{
    const json_t *network = json_object_get(status, "network");
    char clients[24], interfaces[24];
    (void)snprintf(clients, sizeof clients, "%lld", member_number(status, "clients"));
    (void)snprintf(interfaces, sizeof interfaces, "%lld", member_number(status, "interfaces"));
    const char *cells[] = { member_text(status, "name"),
                            member_text(status, "mode"),
                            member_text(status, "state"),
                            clients,
                            interfaces,
                            member_text(network, "ipv4_subnet"),
                            member_text(network, "ipv6_prefix"),
                            member_text(network, "uplink") };
    table_add(table, cells);
}

static void print_table(const json_t *networks)
{
    AUTO(table_free)
    struct table *table =
        table_new("NETWORK MODE STATE CLIENTS> INTERFACES> SUBNET IPV6-PREFIX UPLINK");
    size_t i;
    json_t *status;
    json_array_foreach (networks, i, status)
        add_row(table, status);
    table_print(table, stdout, "");
}

int cmd_list(struct ctl *ctl, int argc, char **argv)
{
    AUTO_CONNECTION c = CONNECTION_INIT;
    AUTO(json_decref) json_t *networks = json_array();
    int r = common_options(ctl, argc, argv, false, 0, 0);
    if (r >= 0)
        return r;

    r = call_open(ctl, &c);
    if (r == -ENOTCONN ? say_not_running(ctl) != EXIT_OK : r < 0 || call_list(&c, networks) < 0)
        return EXIT_FAILED;
    if (ctl->json)
        return print_json(networks);
    if (json_array_size(networks) > 0)
        print_table(networks);
    else if (r == 0)
        fputs("no network exists; acquiring one creates it\n", stderr);
    return EXIT_OK;
}
