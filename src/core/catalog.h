/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.h - which definition a name has right now.
 *
 * Asks the source at each request, but parses a file only when its stamp has changed. What
 * it remembers of a broken one is that it has been complained about, so that the log has
 * each mistake once and not once a client.
 */
#pragma once
#include "definitions.h"
#include "status.h"

struct catalog;

/* A definition turned out to be broken; told once, as it is logged. */
typedef void (*catalog_broken)(void *arg, const char *name, const char *words);

/* broken: NULL: nobody is told. source: copied; its ops NULL: the built-in networks only. NULL
 * without memory. */
struct catalog *catalog_new(const struct definition_source *source, catalog_broken broken,
                            void *arg);
void catalog_free(struct catalog *catalog); /* NULL is fine */

/* 0, and *ret is the caller's reference. -ENOENT: nobody defines it; -EBADMSG: its
 * definition is broken, and the log says how. Others: it could not be found out. On error *ret is
 * untouched, and failure has words for the client. */
int catalog_find(struct catalog *catalog, const char *name, struct definition **ret,
                 struct failure *failure);

/* As def_dir_names(). */
int catalog_names(const struct catalog *catalog, struct def_names *ret);
