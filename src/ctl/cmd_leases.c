/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_leases.c - who has which address, and until when. */
#include "call.h"
#include "mem.h"
#include "show.h"
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

DEFINE_AUTO(struct table *, table_free);

#define WHEN_TEXT 32

/* Local time, since people compare it with their clock. */
static const char *when(const json_t *lease, char ret[static WHEN_TEXT])
{
    time_t seconds = (time_t)member_number(lease, "expires");
    struct tm local;

    if (seconds == 0 || !localtime_r(&seconds, &local) ||
        strftime(ret, WHEN_TEXT, "%Y-%m-%d %H:%M", &local) == 0)
        return NULL;
    return ret;
}

static void add_row(struct table *table, const json_t *lease)
{
    char until[WHEN_TEXT];
    const char *cells[] = { member_text(lease, "network_name"), member_text(lease, "ipv4_address"),
                            member_text(lease, "mac_address"),  member_text(lease, "name"),
                            member_text(lease, "state"),        when(lease, until) };
    table_add(table, cells);
}

static void print_table(const json_t *leases)
{
    AUTO(table_free)
    struct table *table = table_new("NETWORK ADDRESS MAC NAME STATE EXPIRES");
    size_t i;
    json_t *lease;
    json_array_foreach (leases, i, lease)
        add_row(table, lease);
    table_print(table, stdout, "");
}

int cmd_leases(struct ctl *ctl, int argc, char **argv)
{
    AUTO_REPLY reply = REPLY_INIT;
    int r = common_options(ctl, argc, argv, false, 0, 1);
    if (r >= 0)
        return r;

    r = call_about(ctl, "Leases", argv[optind], &reply);
    if (r == -ENOTCONN)
        say_not_running(ctl);
    if (r < 0)
        return EXIT_FAILED;
    const json_t *leases = json_object_get(reply.parameters, "leases");
    if (ctl->json)
        return print_json(leases);
    if (json_array_size(leases) > 0)
        print_table(leases);
    else
        fputs("no address has been given to anybody\n", stderr);
    return EXIT_OK;
}
