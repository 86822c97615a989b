/* SPDX-License-Identifier: Apache-2.0 */
/* places.h - where the chosen broker reads network definitions. */
#pragma once
#include "ctl.h"
#include "def_dir.h"

struct places {
    struct def_dirs dirs;
    char user[4096]; /* what dirs points to */
};

/* config_dir: the option's, which replaces all others; NULL: not given. --system: the
 * system's only; otherwise the user's own, then the system's. */
void places_find(const struct ctl *ctl, const char *config_dir, struct places *ret);

/* "DIR and DIR". Returns ret. */
#define PLACES_TEXT 8300
const char *places_format(const struct places *places, char ret[static PLACES_TEXT]);
