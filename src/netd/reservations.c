/* SPDX-License-Identifier: Apache-2.0 */
/* reservations.c - see reservations.h.
 *
 * The broker has checked the list; netd checks again what could harm: an address that is not
 * for a VM, and whatever is there twice, since dnsmasq would refuse the second.
 */
#include "reservations.h"

#include "bridge.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

static void forget_coming(struct reservations *reserved)
{
    free(reserved->coming);
    reserved->coming = NULL;
    reserved->n_coming = reserved->total = 0;
}

void reservations_clear(struct reservations *reserved)
{
    forget_coming(reserved);
    free(reserved->list);
    reserved->list = NULL;
    reserved->n = 0;
}

void reservations_set(struct reservations *reserved, struct netd_reservation *list, size_t n)
{
    free(reserved->list);
    reserved->list = list;
    reserved->n = n;
}

const struct netd_reservation *reservations_find(const struct reservations *reserved, uint32_t ipv4)
{
    for (size_t i = 0; i < reserved->n; i++)
        if (reserved->list[i].ipv4 == ipv4)
            return &reserved->list[i];
    return NULL;
}

/* ---- a new list --------------------------------------------------------------------- */

static int check_one(const struct netd_network *net, const struct netd_reservation *r,
                     struct netd_why *why)
{
    const struct mac gateway = bridge_mac(net);

    if (memcmp(r->mac, gateway.b, sizeof r->mac) == 0)
        return why_refused(why, -EINVAL,
                           "network '%s': a reservation is for the gateway's MAC "
                           "address",
                           net->name);
    if (r->name[0] && vm_name_reserved(r->name))
        return why_refused(why, -EINVAL, "the name '%s' is reserved", r->name);
    return vm_address_check(net, r->ipv4, why);
}

static int check_twice(const struct netd_network *net, const struct netd_reservation *r,
                       const struct netd_reservation *list, size_t n, struct netd_why *why)
{
    for (size_t i = 0; i < n; i++) {
        const char *what = memcmp(list[i].mac, r->mac, sizeof r->mac) == 0    ? "MAC address"
                           : list[i].ipv4 == r->ipv4                          ? "address"
                           : r->name[0] && strcmp(list[i].name, r->name) == 0 ? "name"
                                                                              : NULL;
        if (what)
            return why_refused(why, -EEXIST, "network '%s': two reservations have the same %s",
                               net->name, what);
    }
    return 0;
}

static int begin(struct reservations *reserved, size_t total, struct netd_why *why)
{
    forget_coming(reserved);
    if (total > 0) {
        reserved->coming = calloc(total, sizeof *reserved->coming);
        if (!reserved->coming)
            return why_failed(why, -ENOMEM, "reservations");
    }
    reserved->total = total;
    return 0;
}

static int add(struct reservations *reserved, const struct netd_reservation *r,
               const struct netd_network *net, struct netd_why *why)
{
    int err;

    if (reserved->n_coming >= reserved->total)
        return why_refused(why, -EINVAL, "network '%s': more reservations than announced",
                           net->name);
    err = check_one(net, r, why);
    if (err == 0)
        err = check_twice(net, r, reserved->coming, reserved->n_coming, why);
    if (err == 0)
        reserved->coming[reserved->n_coming++] = *r;
    return err;
}

/* The new list is complete. */
static bool commit(struct reservations *reserved)
{
    bool same = reserved->n == reserved->n_coming &&
                (reserved->n == 0 || memcmp(reserved->list, reserved->coming,
                                            reserved->n * sizeof *reserved->list) == 0);

    if (!same)
        reservations_set(reserved, take_ptr(&reserved->coming), reserved->n_coming);
    forget_coming(reserved);
    return !same;
}

int reservations_take(struct reservations *reserved, const struct netd_update *update,
                      const struct netd_network *net, struct netd_why *why)
{
    int r = update->first == 0 ? begin(reserved, update->total, why) : 0;

    if (r == 0 && (update->first != reserved->n_coming || update->total != reserved->total))
        r = why_refused(why, -EINVAL, "network '%s': reservations out of order", net->name);
    for (uint32_t i = 0; r == 0 && i < update->count; i++)
        r = add(reserved, &update->reservations[i], net, why);
    if (r < 0) {
        forget_coming(reserved);
        return r;
    }
    return reserved->n_coming == reserved->total ? commit(reserved) : 0;
}
