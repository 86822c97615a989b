/* SPDX-License-Identifier: Apache-2.0 */
/* backend_stranded.c - networks whose namespace was lost under their VMs (netd/stranded.h).
 *
 * netd says which they are, and when the last VM of one has ended. Until then their addresses
 * are nobody else's, and status says what has happened: only their users can help, by starting
 * these VMs again.
 */
#include "backend_record.h"

#include "log.h"
#include "mem.h"
#include "subnet.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct stranded_net {
    struct netd_stranded said;
    char problem[NETD_WHY_SIZE + NAME_SIZE];
};

static struct subnet4 subnet_of(const struct netd_stranded *said)
{
    return (struct subnet4){ said->ipv4_base, said->ipv4_prefix };
}

static void describe(struct stranded_net *net)
{
    char text[SUBNET4_TEXT];

    (void)snprintf(net->problem, sizeof net->problem,
                   "network '%s' (%s) was lost with its namespace, and process %d still has a VM "
                   "on it: start such VMs again; the subnet stays reserved until they have ended",
                   net->said.network, subnet4_format(subnet_of(&net->said), text),
                   (int)net->said.holder);
}

void stranded_take(struct backend_netd *b, const struct netd_inventory *inventory)
{
    struct stranded_net *all = calloc(inventory->n_stranded + 1, sizeof *all);

    if (!all) {
        (void)log_failure(-ENOMEM, "cannot take note of networks that were lost");
        return;
    }
    for (size_t i = 0; i < inventory->n_stranded; i++) {
        all[i].said = inventory->stranded[i];
        describe(&all[i]);
        log_warning("%s", all[i].problem);
    }
    free(b->stranded);
    b->stranded = all;
    b->n_stranded = inventory->n_stranded;
}

void stranded_over(struct backend_netd *b, const struct netd_stranded *which)
{
    for (size_t i = 0; i < b->n_stranded; i++) {
        const struct netd_stranded *said = &b->stranded[i].said;

        if (strcmp(said->network, which->network) != 0 || said->ipv4_base != which->ipv4_base)
            continue;
        log_info("network '%s': the last VM of its lost namespace has ended", which->network);
        b->stranded[i] = b->stranded[--b->n_stranded];
        return;
    }
}

int stranded_collect(const struct backend_netd *b, struct taken_list *taken)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < b->n_stranded; i++) {
        const struct netd_stranded *said = &b->stranded[i].said;

        r = taken_add(taken, subnet_of(said), "process %d, on a network '%s' that was lost",
                      (int)said->holder, said->network);
    }
    return r;
}

bool stranded_has_prefix(const struct backend_netd *b, const struct prefix6 *prefix)
{
    for (size_t i = 0; i < b->n_stranded; i++)
        if (b->stranded[i].said.ipv6_len == prefix->len &&
            memcmp(b->stranded[i].said.ipv6, prefix->addr, sizeof prefix->addr) == 0)
            return true;
    return false;
}

void stranded_describe(const struct backend_netd *b, struct backend_view *view)
{
    for (size_t i = 0; i < b->n_stranded && view->n_problems < N_ELEMENTS(view->problems); i++)
        view->problems[view->n_problems++] = b->stranded[i].problem;
}
