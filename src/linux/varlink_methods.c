/* SPDX-License-Identifier: Apache-2.0 */
/* varlink_methods.c - the methods of com.github.nirs.vmnet-broker, one function each.
 *
 * A method takes what the interface file allows and calls the core's verb; what comes back is
 * put into words by varlink_replies.c. How the bytes travel is not known here, nor which
 * connection it is about.
 */
#include "varlink_methods.h"

#include "mem.h"
#include "varlink_forwards.h"

#include <errno.h>
#include <string.h>

/* ---- calls ---- */

static const char *string_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static int run_acquire(const struct verbs *verbs, struct peer *peer, struct call *call,
                       const json_t *params, struct failure *failure)
{
    (void)failure;
    verbs->acquire(peer, call, string_param(params, "network_name"));
    return 0;
}

static int run_release(const struct verbs *verbs, struct peer *peer, struct call *call,
                       const json_t *params, struct failure *failure)
{
    (void)failure;
    verbs->release(peer, call, string_param(params, "network_name"));
    return 0;
}

static bool bool_param(const json_t *params, const char *name, bool absent)
{
    const json_t *value = json_object_get(params, name);
    return json_is_boolean(value) ? json_is_true(value) : absent;
}

static int mac_param(const json_t *params, struct mac *mac, const struct mac **ret,
                     struct failure *failure)
{
    const char *text = string_param(params, "mac_address");
    *ret = NULL;
    if (!text)
        return 0;
    if (mac_parse(text, mac) < 0)
        return failure_set(failure, -EINVAL,
                           "mac_address '%.40s' is malformed: write it as 52:54:00:12:34:56", text);
    *ret = mac;
    return 0;
}

static int queues_param(const json_t *params, unsigned *ret, struct failure *failure)
{
    const json_t *value = json_object_get(params, "queues");
    json_int_t queues = json_is_integer(value) ? json_integer_value(value) : 1;
    if (queues < 1 || queues > (json_int_t)IFACE_QUEUES_MAX)
        return failure_set(failure, -EINVAL, "queues must be 1 to %u, not %lld", IFACE_QUEUES_MAX,
                           (long long)queues);
    *ret = (unsigned)queues;
    return 0;
}

static int run_start_interface(const struct verbs *verbs, struct peer *peer, struct call *call,
                               const json_t *params, struct failure *failure)
{
    struct mac mac;
    struct iface_request request = {
        .network = string_param(params, "network_name"),
        .interface_id = string_param(params, "interface_id"),
        .name = string_param(params, "name"),
        .offload = bool_param(params, "offload", true),
        .isolated = bool_param(params, "isolated", false),
        .by_name = bool_param(params, "by_name", false),
    };
    int r = mac_param(params, &mac, &request.mac, failure);
    if (r == 0)
        r = queues_param(params, &request.queues, failure);
    if (r == 0)
        verbs->start_interface(peer, call, &request); /* the core fills in the uid */
    return r;
}

static int run_list(const struct verbs *verbs, struct peer *peer, struct call *call,
                    const json_t *params, struct failure *failure)
{
    (void)params;
    (void)failure;
    verbs->list(peer, call);
    return 0;
}

static int run_status(const struct verbs *verbs, struct peer *peer, struct call *call,
                      const json_t *params, struct failure *failure)
{
    (void)failure;
    verbs->status(peer, call, string_param(params, "network_name"));
    return 0;
}

static int run_leases(const struct verbs *verbs, struct peer *peer, struct call *call,
                      const json_t *params, struct failure *failure)
{
    (void)failure;
    verbs->leases(peer, call, string_param(params, "network_name"));
    return 0;
}

static int run_monitor(const struct verbs *verbs, struct peer *peer, struct call *call,
                       const json_t *params, struct failure *failure)
{
    (void)params;
    (void)failure;
    verbs->monitor(peer, call);
    return 0;
}

static int run_stop(const struct verbs *verbs, struct peer *peer, struct call *call,
                    const json_t *params, struct failure *failure)
{
    (void)params;
    (void)failure;
    verbs->stop(peer, call);
    return 0;
}

static const struct varlink_method methods[] = {
    { "Acquire", run_acquire },
    { "Release", run_release },
    { "StartInterface", run_start_interface },
    { "List", run_list },
    { "Status", run_status },
    { "Leases", run_leases },
    { "Monitor", run_monitor, .more_only = true },
    { "AddForward", run_add_forward },
    { "RemoveForward", run_remove_forward },
    { "ListForwards", run_list_forwards },
    { "Stop", run_stop },
};

const struct varlink_method *varlink_method_at(size_t i)
{
    return i < N_ELEMENTS(methods) ? &methods[i] : NULL;
}

const struct varlink_method *varlink_method_find(const char *name)
{
    for (size_t i = 0; i < N_ELEMENTS(methods); i++)
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    return NULL;
}
