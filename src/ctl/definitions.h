/* SPDX-License-Identifier: Apache-2.0 */
/* definitions.h - what the verbs about definitions share: which directories, and how a file
 * is written.
 *
 * add, remove, show and `forward --save` change files as an editor would; the daemon notices. */
#pragma once
#include "ctl.h"
#include "def_dir.h"

#include <limits.h>

struct definitions {
    struct def_dirs dirs;
    char user[PATH_MAX];    /* the user's own directory */
    const char *config_dir; /* --config-dir, or NULL */
    bool replace;           /* --replace */
    bool save;              /* --save */
};

/* What else a verb may have. */
enum definitions_option { DEFINITIONS_PLAIN, DEFINITIONS_REPLACE, DEFINITIONS_SAVE };

/* Reads a verb's options: the common ones, --config-dir, and this one. optind is then at its
 * arguments, min to max of them. As common_options(). */
int definitions_options(struct ctl *ctl, int argc, char **argv, enum definitions_option also,
                        int min, int max, struct definitions *ret);

/* Where the definitions of this user, or with --system of the machine, are written: the
 * directory that counts first. */
const char *definitions_home(const struct definitions *d);

/* Checks the text as `check` does, prints what is wrong, and writes it as NAME.json, whole or
 * not at all. An EXIT_* status. */
int definitions_write(const struct ctl *ctl, const struct definitions *d, const char *name,
                      const char *text, size_t len);

/* As def_dir_find(), saying what is wrong. 0 or a negative errno. file: PATH_MAX bytes. */
int definitions_find(const struct definitions *d, const char *name, struct definition **ret,
                     char *file);
