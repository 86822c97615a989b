/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog.h"

#include "log.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* As many as there can be files; beyond it the oldest is read again. */
#define ENTRIES_MAX DEF_NAMES_MAX

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif

/* A name as it was when it was last asked for. */
struct entry {
    TAILQ_ENTRY(entry) link;
    char name[NAME_SIZE];
    struct file_stamp stamp;       /* all zero: no file */
    struct definition *definition; /* NULL: broken */
    struct failure failure;        /* then */
};

struct catalog {
    struct definition_source source;
    catalog_broken broken;
    void *arg;
    TAILQ_HEAD(, entry) entries; /* oldest first */
    size_t n;
};

/* --- where nobody brought a source --- */

static int find_built_in(void *self, const char *name, struct definition **ret, char *file,
                         struct complaints *out)
{
    (void)self;
    (void)file;
    (void)out;
    return definition_builtin(name, ret);
}

static int stamp_of_nothing(void *self, const char *name, struct file_stamp *ret)
{
    (void)self;
    (void)name;
    (void)ret;
    return -ENOENT;
}

static int no_names(void *self, struct def_names *ret)
{
    (void)self;
    *ret = (struct def_names){ 0 };
    return 0;
}

static const struct definition_source_ops built_in_only = { find_built_in, stamp_of_nothing,
                                                            no_names };

/* --- the catalog and its entries as objects --- */

struct catalog *catalog_new(const struct definition_source *source, catalog_broken broken,
                            void *arg)
{
    struct catalog *catalog = calloc(1, sizeof *catalog);
    if (!catalog)
        return NULL;
    catalog->source = *source;
    catalog->broken = broken;
    catalog->arg = arg;
    if (!catalog->source.ops)
        catalog->source.ops = &built_in_only;
    TAILQ_INIT(&catalog->entries);
    return catalog;
}

static void entry_free(struct catalog *catalog, struct entry *entry)
{
    if (!entry)
        return;
    TAILQ_REMOVE(&catalog->entries, entry, link);
    catalog->n--;
    definition_unref(entry->definition);
    free(entry);
}

void catalog_free(struct catalog *catalog)
{
    if (!catalog)
        return;
    while (!TAILQ_EMPTY(&catalog->entries))
        entry_free(catalog, TAILQ_FIRST(&catalog->entries));
    free(catalog);
}

static struct entry *entry_find(struct catalog *catalog, const char *name)
{
    struct entry *entry;
    TAILQ_FOREACH (entry, &catalog->entries, link)
        if (strcmp(entry->name, name) == 0)
            return entry;
    return NULL;
}

/* definition: taken over, NULL when it is broken. Without memory nothing is remembered, and
 * the file is read again next time. */
static void remember(struct catalog *catalog, const char *name, const struct file_stamp *stamp,
                     struct definition *definition, const struct failure *failure)
{
    struct entry *entry = calloc(1, sizeof *entry);

    entry_free(catalog, entry_find(catalog, name));
    if (!entry) {
        definition_unref(definition);
        return;
    }
    (void)strncpy(entry->name, name, sizeof entry->name - 1);
    entry->stamp = *stamp;
    entry->definition = definition;
    if (failure)
        entry->failure = *failure;
    TAILQ_INSERT_TAIL(&catalog->entries, entry, link);
    if (++catalog->n > ENTRIES_MAX)
        entry_free(catalog, TAILQ_FIRST(&catalog->entries));
}

/* --- reading --- */

static const char *kind_of(const struct catalog *catalog)
{
    return catalog->source.kind ? catalog->source.kind : "network";
}

/* The log gets every complaint, the client the first. */
static int complain(const struct catalog *catalog, const char *name, const char *file,
                    const struct complaints *complaints, struct failure *failure)
{
    char line[COMPLAINT_LINE];

    for (size_t i = 0; i < complaints->n; i++)
        log_error("%s '%s': %s", kind_of(catalog), name,
                  complaint_format(&complaints->items[i], file, line, sizeof line));
    size_t more = complaints->n + complaints->left_out;
    more -= more > 0;
    if (complaints->n > 0)
        (void)complaint_format(&complaints->items[0], file, line, sizeof line);
    else
        (void)complaint_format(&(struct complaint){ .what = "cannot be used" }, file, line,
                               sizeof line);
    if (more > 0)
        return failure_set(failure, -EBADMSG, "its definition is broken, and %zu more: %s", more,
                           line);
    return failure_set(failure, -EBADMSG, "its definition is broken: %s", line);
}

static int nobody_defines(const struct catalog *catalog, const char *name, struct failure *failure)
{
    if (!catalog->source.where)
        return failure_set(failure, -ENOENT,
                           "no network '%s' is defined: use 'shared' or 'host', which are built in",
                           name);
    return failure_set(failure, -ENOENT,
                       "no network '%s' is defined: use 'shared' or 'host', which are built in, "
                       "or define it in %s",
                       name, catalog->source.where);
}

static int read_anew(struct catalog *catalog, const char *name, const struct file_stamp *stamp,
                     struct definition **ret, struct failure *failure)
{
    char file[PATH_MAX] = "";
    struct complaints complaints = { 0 };
    struct definition *definition = NULL;

    int r = catalog->source.ops->find(catalog->source.self, name, &definition, file, &complaints);
    if (r == 0) {
        *ret = definition_ref(definition);
        remember(catalog, name, &definition->stamp, definition, NULL);
        return 0;
    }
    if (r == -EBADMSG) {
        r = complain(catalog, name, file, &complaints, failure);
        remember(catalog, name, stamp, NULL, failure);
        if (catalog->broken)
            catalog->broken(catalog->arg, name, failure->why);
        return r;
    }
    entry_free(catalog, entry_find(catalog, name));
    if (r == -ENOENT || r == -EINVAL)
        return nobody_defines(catalog, name, failure);
    log_error("%s '%s': cannot read its definition: %s", kind_of(catalog), name, strerror(-r));
    return failure_set(failure, r, "its definition cannot be read: %s", strerror(-r));
}

int catalog_find(struct catalog *catalog, const char *name, struct definition **ret,
                 struct failure *failure)
{
    const struct entry *entry = entry_find(catalog, name);
    struct file_stamp stamp = { 0 };

    int r = catalog->source.ops->stamp(catalog->source.self, name, &stamp);
    if (!entry || (r < 0 && r != -ENOENT) || !file_stamp_equal(&entry->stamp, &stamp))
        return read_anew(catalog, name, &stamp, ret, failure);
    if (!entry->definition) {
        *failure = entry->failure;
        return failure->err;
    }
    *ret = definition_ref(entry->definition);
    return 0;
}

int catalog_names(const struct catalog *catalog, struct def_names *ret)
{
    return catalog->source.ops->names(catalog->source.self, ret);
}
