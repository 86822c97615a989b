/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - where this broker's definitions are. */
#pragma once
#include "def_dir.h"
#include "options.h"
#include "status.h"

#include <limits.h>

struct config {
    struct def_dirs dirs;
    char user[PATH_MAX];           /* the user's own directory; "": none */
    char where[2 * PATH_MAX + 32]; /* in words, for whoever asks for what is not defined */
};

/* --config-dir alone; or the system's directory and, in a user instance, before it the
 * user's own. 0 or a negative errno with words. */
int config_init(struct config *config, const struct options *options, struct failure *failure);
