/* SPDX-License-Identifier: Apache-2.0 */
#include "varlink_route.h"

#include "idl.h"
#include "log.h"
#include "mem.h"
#include "str.h"
#include "varlink_replies.h"

#include <errno.h>
#include <string.h>

struct routes {
    struct idl *broker, *service;
};

/* ---- the interface files ---- */

static int read_interface(const char *name, struct idl **ret)
{
    struct failure failure = { 0 };
    int r = idl_read(idl_text(name), ret, &failure);
    if (r == -EINVAL)
        log_error("interface %s: %s", name, failure.why);
    return r;
}

int routes_new(struct routes **ret)
{
    struct routes *routes = calloc(1, sizeof *routes);
    if (!routes)
        return -ENOMEM;
    int r = read_interface(BROKER_INTERFACE, &routes->broker);
    if (r == 0)
        r = read_interface(SERVICE_INTERFACE, &routes->service);
    if (r < 0) {
        routes_free(routes);
        return r;
    }
    *ret = routes;
    return 0;
}

void routes_free(struct routes *routes)
{
    if (!routes)
        return;
    idl_free(routes->broker);
    idl_free(routes->service);
    free(routes);
}

/* ---- errors ---- */

json_t *error_message(const char *error, json_t *params)
{
    return json_pack("{s:s, s:o}", "error", error, "parameters", params);
}

json_t *status_message(enum status status, const char *words)
{
    const char *name = status_error_name(status);
    char error[96];

    if (!name) {
        status = STATUS_INTERNAL_ERROR;
        name = status_error_name(status);
    }
    (void)str_format(error, sizeof error, BROKER_INTERFACE ".%s", name);
    return error_message(error,
                         json_pack("{s:i, s:o}", "code", (int)status, "message", text_json(words)));
}

/* A call whose form is wrong: our interface says so with code 4 and in words, the
 * service interface as the Varlink specification has it. */
static int invalid(const struct routes *routes, const struct idl *idl, const char *parameter,
                   const struct failure *why, json_t **error)
{
    *error = idl == routes->broker ? status_message(STATUS_INVALID_REQUEST, why->why)
                                   : error_message(SERVICE_INTERFACE ".InvalidParameter",
                                                   json_pack("{s:s}", "parameter", parameter));
    return -EINVAL;
}

/* ---- routing ---- */

/* The members of a call beside its parameters. NULL: good; otherwise the bad one, with words. */
static const char *check_members(json_t *message, struct failure *failure)
{
    const char *key;
    json_t *value;

    json_object_foreach (message, key, value) {
        bool flag = !strcmp(key, "oneway") || !strcmp(key, "more") || !strcmp(key, "upgrade");
        if (!flag && strcmp(key, "method") != 0 && strcmp(key, "parameters") != 0)
            (void)failure_set(failure, -EINVAL, "a call has no member '%.40s'", key);
        else if (flag && !json_is_boolean(value))
            (void)failure_set(failure, -EINVAL, "member '%s' of a call must be a bool", key);
        else if (json_is_true(value) && strcmp(key, "upgrade") == 0)
            (void)failure_set(failure, -EINVAL, "no method can be called with 'upgrade'");
        else
            continue;
        return key;
    }
    return NULL;
}

static bool is_named(const struct idl *idl, const char *name, size_t len)
{
    return strlen(idl_name(idl)) == len && memcmp(idl_name(idl), name, len) == 0;
}

static const struct idl *find_interface(const struct routes *routes, const char *name, size_t len)
{
    if (is_named(routes->broker, name, len))
        return routes->broker;
    return is_named(routes->service, name, len) ? routes->service : NULL;
}

/* Replies without an end are for who reads them. */
static bool wants_more(const json_t *message)
{
    return json_is_true(json_object_get(message, "more")) &&
           !json_is_true(json_object_get(message, "oneway"));
}

/* The method is declared: does the call fit the declaration? */
static int check_call(const struct routes *routes, const struct idl *idl, json_t *message,
                      struct route *ret, json_t **error, struct failure *why)
{
    const char *bad = check_members(message, why);
    if (bad)
        return invalid(routes, idl, bad, why, error);

    ret->params = json_object_get(message, "parameters");
    if (json_is_null(ret->params))
        ret->params = NULL;
    if (idl_check(idl, idl_method(idl, ret->name), ret->params, why, &bad) < 0)
        return invalid(routes, idl, bad, why, error);
    return 0;
}

int route_find(const struct routes *routes, const char *method, json_t *message, struct route *ret,
               json_t **error, struct failure *why)
{
    const char *dot = strrchr(method, '.');
    size_t len = dot ? (size_t)(dot - method) : 0;
    const struct idl *idl = find_interface(routes, method, len);

    if (dot && !idl) {
        *error = error_message(SERVICE_INTERFACE ".InterfaceNotFound",
                               json_pack("{s:s%}", "interface", method, len));
        return -EINVAL;
    }
    if (!dot || !idl_method(idl, dot + 1)) {
        *error = error_message(SERVICE_INTERFACE ".MethodNotFound",
                               json_pack("{s:s}", "method", method));
        return -EINVAL;
    }
    *ret = (struct route){ .name = dot + 1 };
    int r = check_call(routes, idl, message, ret, error, why);
    if (r < 0 || idl == routes->service)
        return r;
    ret->method = varlink_method_find(ret->name);
    if (ret->method && ret->method->more_only && !wants_more(message)) {
        *error = error_message(SERVICE_INTERFACE ".ExpectedMore", json_object());
        return -EINVAL;
    }
    if (ret->method)
        return 0;
    *error = error_message(SERVICE_INTERFACE ".MethodNotImplemented",
                           json_pack("{s:s}", "method", ret->name));
    return -EINVAL;
}
