/* SPDX-License-Identifier: Apache-2.0 */
/* varlink_forwards.c - AddForward, RemoveForward and ListForwards. */
#include "varlink_forwards.h"

#include "net_handle.h"
#include "str.h"
#include "varlink_replies.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* ---- calls ------------------------------------------------------------------------- */

static const char *string_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static int port_param(const json_t *params, const char *name, uint16_t *ret,
                      struct failure *failure)
{
    json_int_t port = json_integer_value(json_object_get(params, name));

    if (port < 1 || port > UINT16_MAX)
        return failure_set(failure, -EINVAL, "%s must be 1 to 65535, not %lld", name,
                           (long long)port);
    *ret = (uint16_t)port;
    return 0;
}

static int address_param(const json_t *params, const char *name, struct address *ret,
                         struct failure *failure)
{
    const char *text = string_param(params, name);

    if (!text || address_parse(text, ret) == 0)
        return 0;
    return failure_set(failure, -EINVAL, "%s '%.50s' is no IPv4 or IPv6 address", name, text);
}

static int protocol_param(const json_t *params, enum forward_protocol *ret, struct failure *failure)
{
    const char *text = string_param(params, "protocol");

    if (text && strcmp(text, "tcp") != 0 && strcmp(text, "udp") != 0)
        return failure_set(failure, -EINVAL, "protocol must be \"tcp\" or \"udp\", not '%.20s'",
                           text);
    *ret = text && strcmp(text, "udp") == 0 ? FORWARD_UDP : FORWARD_TCP;
    return 0;
}

/* What both methods have. */
static int door_params(const json_t *params, struct forward_request *ret, struct failure *failure)
{
    *ret = (struct forward_request){ .network = string_param(params, "network_name") };
    int r = protocol_param(params, &ret->protocol, failure);
    if (r == 0)
        r = address_param(params, "listen_address", &ret->listen, failure);
    return r < 0 ? r : port_param(params, "external_port", &ret->external_port, failure);
}

int run_add_forward(const struct verbs *verbs, struct peer *peer, struct call *call,
                    const json_t *params, struct failure *failure)
{
    struct forward_request request;
    int r = door_params(params, &request, failure);

    request.interface_id = string_param(params, "interface_id");
    if (r == 0)
        r = address_param(params, "address", &request.address, failure);
    if (r == 0)
        r = port_param(params, "internal_port", &request.internal_port, failure);
    if (r == 0)
        verbs->add_forward(peer, call, &request); /* the core fills in the uid */
    return r;
}

int run_remove_forward(const struct verbs *verbs, struct peer *peer, struct call *call,
                       const json_t *params, struct failure *failure)
{
    struct forward_request request;
    int r = door_params(params, &request, failure);

    if (r == 0)
        verbs->remove_forward(peer, call, &request);
    return r;
}

int run_list_forwards(const struct verbs *verbs, struct peer *peer, struct call *call,
                      const json_t *params, struct failure *failure)
{
    (void)failure;
    verbs->list_forwards(peer, call, string_param(params, "network_name"));
    return 0;
}

/* ---- the reply --------------------------------------------------------------------- */

/* NULL: none. */
static const char *address_text(const uint8_t addr[static 16], char text[static ADDR6_TEXT])
{
    static const uint8_t none[16], mapped[12] = { [10] = 0xff, 0xff };
    uint32_t v4;

    if (memcmp(addr, none, sizeof none) == 0)
        return NULL;
    if (memcmp(addr, mapped, sizeof mapped) != 0)
        return addr6_format(addr, text);
    memcpy(&v4, addr + sizeof mapped, sizeof v4);
    return addr4_format(ntohl(v4), text);
}

static json_t *version_json(uint32_t families)
{
    return families == NETD_IPV4 ? json_integer(4) : families == NETD_IPV6 ? json_integer(6) : NULL;
}

static json_t *state_json(const struct forward_entry *f)
{
    char text[sizeof f->why + 16] = "waiting";

    if (f->spec.flags & NETD_FORWARD_LIVE)
        return json_string("listening");
    if (f->why[0])
        (void)str_format(text, sizeof text, "failed: %s", f->why);
    return text_json(text);
}

static json_t *forward_json(const struct forward_entry *f)
{
    const struct netd_forward *spec = &f->spec;
    char listen[ADDR6_TEXT], target[ADDR6_TEXT];

    return json_pack("{s:s, s:s, s:s*, s:i, s:o*, s:s*, s:i, s:s*, s:I, s:b, s:o}", "network_name",
                     spec->network, "protocol", spec->protocol == NETD_TCP ? "tcp" : "udp",
                     "listen_address", address_text(spec->listen, listen), "external_port",
                     (int)spec->external_port, "ip_version", version_json(spec->families),
                     "address", address_text(spec->target, target), "internal_port",
                     (int)spec->internal_port, "interface_id",
                     spec->interface[0] ? spec->interface : NULL, "uid", (json_int_t)spec->uid,
                     "defined", (int)(spec->flags & NETD_FORWARD_DEFINED), "state", state_json(f));
}

static bool is_shown(const struct broker_report *report, const struct forward_entry *f)
{
    return f->wanted && (report->sees_all || f->spec.uid == report->asker ||
                         (f->spec.flags & NETD_FORWARD_DEFINED));
}

json_t *forwards_reply(const struct broker_report *report)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < report->n_networks; i++) {
        const struct net_handle *handle = report->networks[i].handle;
        const struct forward_entry *f;

        if (!handle)
            continue;
        TAILQ_FOREACH (f, &handle->forwards, link)
            if (is_shown(report, f) && json_array_append_new(array, forward_json(f)) < 0) {
                json_decref(array);
                return NULL;
            }
    }
    return json_pack("{s:o}", "forwards", array);
}
