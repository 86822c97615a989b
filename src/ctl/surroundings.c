/* SPDX-License-Identifier: Apache-2.0 */
#include "surroundings.h"

#include "mem.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- collecting ---- */

/* A broken one is complained of where it is itself checked. */
static int read_others(const struct def_dirs *dirs, struct surroundings *s)
{
    struct def_names names;
    char file[PATH_MAX];
    int r = def_dir_names(dirs, &names);
    if (r == 0)
        s->others = calloc(names.n + 1, sizeof *s->others);
    if (r == 0 && !s->others)
        r = -ENOMEM;
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        struct complaints unheard = { 0 };
        if (def_dir_find(dirs, names.names[i], &s->others[s->n_others], file, &unheard) == 0)
            s->n_others++;
    }
    def_names_clear(&names);
    return r;
}

int surroundings_read(const struct ctl *ctl, const struct def_dirs *dirs, struct surroundings *ret)
{
    *ret = (struct surroundings){ .networks = json_array() };
    int r = read_others(dirs, ret);
    if (r < 0) {
        complain("cannot read all definitions: %s", strerror(-r));
        return r;
    }
    return surroundings_of_host(ctl, &ret->routes, ret->networks);
}

void surroundings_clear(struct surroundings *s)
{
    taken_clear(&s->routes);
    json_decref(s->networks);
    for (size_t i = 0; i < s->n_others; i++)
        definition_unref(s->others[i]);
    free(s->others);
    *s = (struct surroundings){ 0 };
}

/* ---- checking ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* What has the subnet that the definition wants is, in a system instance, seen as a route of
 * the host too: then it has been judged already, when the network was made. */
static bool has_it_already(const struct surroundings *s, const struct definition *d)
{
    size_t i;
    json_t *status;
    json_array_foreach (s->networks, i, status) {
        struct subnet4 subnet;
        const json_t *network = json_object_get(status, "network");
        if (strcmp(text_of(status, "name"), d->net.name) == 0 &&
            subnet4_parse(text_of(network, "ipv4_subnet"), &subnet) == 0 &&
            subnet.base == d->net.subnet.base && subnet.prefix == d->net.subnet.prefix)
            return true;
    }
    return false;
}

static int add_networks(const struct surroundings *s, const struct definition *d,
                        struct taken_list *taken, struct complaints *out)
{
    size_t i;
    json_t *status;
    int r = 0;
    json_array_foreach (s->networks, i, status) {
        struct subnet4 subnet;
        struct prefix6 prefix;
        char owner[OWNER_SIZE];
        const json_t *network = json_object_get(status, "network");
        const char *name = text_of(status, "name");
        if (strcmp(name, d->net.name) == 0)
            continue;
        (void)snprintf(owner, sizeof owner, "network '%.63s', which exists", name);
        if (subnet4_parse(text_of(network, "ipv4_subnet"), &subnet) == 0 && r == 0)
            r = taken_add(taken, subnet, "%s", owner);
        if (prefix6_parse(text_of(network, "ipv6_prefix"), &prefix) == 0)
            (void)definition_check_prefix(d, &prefix, owner, out);
    }
    return r;
}

static int add_others(const struct surroundings *s, const struct definition *d,
                      struct taken_list *taken, struct complaints *out)
{
    int r = 0;
    for (size_t i = 0; i < s->n_others && r == 0; i++) {
        const struct definition *other = s->others[i];
        char owner[OWNER_SIZE];
        if (strcmp(other->net.name, d->net.name) == 0)
            continue;
        (void)snprintf(owner, sizeof owner, "the definition of '%.63s'", other->net.name);
        if (other->net.subnet.prefix != 0)
            r = taken_add(taken, other->net.subnet, "%s", owner);
        (void)definition_check_prefix(d, &other->net.prefix6, owner, out);
        (void)definition_check_forwards(d, other, out);
    }
    return r;
}

static int add_routes(const struct surroundings *s, struct taken_list *taken)
{
    int r = 0;
    for (size_t i = 0; i < s->routes.n && r == 0; i++)
        r = taken_add(taken, s->routes.items[i].range, "%s", s->routes.items[i].owner);
    return r;
}

int surroundings_check(const struct surroundings *s, const struct definition *definition,
                       struct complaints *out)
{
    struct taken_list taken = { 0 };
    int r = add_networks(s, definition, &taken, out);
    if (r == 0)
        r = add_others(s, definition, &taken, out);
    if (r == 0 && !has_it_already(s, definition))
        r = add_routes(s, &taken);
    if (r == 0)
        (void)definition_check_overlap(definition, &taken, out);
    surroundings_lack(definition, out);
    taken_clear(&taken);
    return r;
}
