/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_show.c - how networks are defined: all of them in a table, or one with every value. */
#include "definition_json.h"
#include "definitions.h"
#include "mem.h"
#include "show.h"
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

DEFINE_AUTO(json_t *, json_decref);
DEFINE_AUTO(struct table *, table_free);

/* The file beside the definition, which has no key for it. */
static json_t *described(const struct definition *definition)
{
    return json_pack("{s:s, s:s?, s:o}", "name", definition->net.name, "file", definition->file,
                     "definition", definition_json(definition));
}

/* ---- one ---- */

static void print_value(const char *key, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const char *plain = json_string_value(value);
    print_clean("  %-20s %s", key, plain ? plain : or_dash(text));
    free(text);
}

static void print_definition(const struct definition *definition, json_t *values)
{
    const char *key;
    json_t *value, *item;
    size_t i;

    print_clean("%s", definition->net.name);
    print_clean("  %-20s %s", "(file)", definition->file ? definition->file : "built in");
    json_object_foreach (values, key, value) {
        if (!json_is_array(value))
            print_value(key, value);
        json_array_foreach (value, i, item)
            print_value(key, item);
    }
}

static int show_one(const struct ctl *ctl, const struct definitions *d, const char *name)
{
    struct definition *definition = NULL;
    char file[PATH_MAX];

    if (definitions_find(d, name, &definition, file) < 0)
        return EXIT_FAILED;
    AUTO(json_decref) json_t *all = described(definition);
    if (all && !ctl->json)
        print_definition(definition, json_object_get(all, "definition"));
    (void)definition_unref(definition);
    return all && ctl->json ? print_json(all) : all ? EXIT_OK : EXIT_FAILED;
}

/* ---- all ---- */

static void add_row(struct table *table, const json_t *all)
{
    const json_t *values = json_object_get(all, "definition");
    const char *cells[] = { member_text(all, "name"), member_text(values, "mode"),
                            member_text(values, "subnet"),
                            member_text(all, "file") ? member_text(all, "file") : "built in",
                            member_text(values, "description") };
    table_add(table, cells);
}

/* Those that are built in, and those that files define; a broken one is complained of. */
static int collect(const struct definitions *d, json_t *list)
{
    static const char *const built_in[] = { "host", "shared" };
    struct def_names names;
    char file[PATH_MAX];
    bool whole = true;

    int r = def_dir_names(&d->dirs, &names);
    for (size_t i = 0; i < names.n + N_ELEMENTS(built_in); i++) {
        struct definition *definition = NULL;
        const char *name = i < names.n ? names.names[i] : built_in[i - names.n];
        bool again = false;
        for (size_t k = 0; i >= names.n && k < names.n; k++)
            again = again || strcmp(names.names[k], name) == 0;
        if (again)
            continue;
        if (definitions_find(d, name, &definition, file) < 0)
            whole = false;
        else
            (void)json_array_append_new(list, described(definition));
        (void)definition_unref(definition);
    }
    def_names_clear(&names);
    return r < 0 ? r : whole ? 0 : -EBADMSG;
}

static int show_all(const struct ctl *ctl, const struct definitions *d)
{
    AUTO(json_decref) json_t *list = json_array();
    size_t i;
    json_t *all;
    int r = collect(d, list);

    if (ctl->json) {
        (void)print_json(list);
    } else {
        AUTO(table_free) struct table *table = table_new("NETWORK MODE SUBNET FILE DESCRIPTION");
        json_array_foreach (list, i, all)
            add_row(table, all);
        table_print(table, stdout, "");
    }
    return r < 0 ? EXIT_FAILED : EXIT_OK;
}

int cmd_show(struct ctl *ctl, int argc, char **argv)
{
    struct definitions d;
    int r = definitions_options(ctl, argc, argv, DEFINITIONS_PLAIN, 0, 1, &d);
    if (r >= 0)
        return r;
    return optind < argc ? show_one(ctl, &d, argv[optind]) : show_all(ctl, &d);
}
