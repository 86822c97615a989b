/* SPDX-License-Identifier: Apache-2.0 */
#include "places.h"

#include "paths.h"

#include <stdio.h>
#include <unistd.h>

void places_find(const struct ctl *ctl, const char *config_dir, struct places *ret)
{
    struct def_dirs *dirs = &ret->dirs;
    bool system = ctl->choice == ENDPOINT_SYSTEM;

    *dirs = (struct def_dirs){ .owner = system ? 0 : geteuid() };
    if (config_dir) {
        dirs->paths[dirs->n++] = config_dir;
        return;
    }
    if (!system && paths_user_definitions(ret->user, sizeof ret->user) == 0)
        dirs->paths[dirs->n++] = ret->user;
    dirs->paths[dirs->n++] = DEFINITIONS_SYSTEM;
}

const char *places_format(const struct places *places, char ret[static PLACES_TEXT])
{
    const struct def_dirs *dirs = &places->dirs;
    (void)snprintf(ret, PLACES_TEXT, "%s%s%s", dirs->paths[0], dirs->n > 1 ? " and " : "",
                   dirs->n > 1 ? dirs->paths[1] : "");
    return ret;
}
