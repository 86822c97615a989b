/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "paths.h"

#include <unistd.h>

int config_init(struct config *config, const struct options *options, struct failure *failure)
{
    *config = (struct config){ .dirs.owner = options->system ? 0 : getuid() };
    config->policy =
        (struct def_dirs){ .paths = { POLICY_DIRECTORY }, .n = 1, .parse = policy_parse };
    paths_definitions(options->config_dir, options->system, config->user, sizeof config->user,
                      &config->dirs);
    int r = def_dirs_format(&config->dirs, config->where, sizeof config->where);
    return r < 0 ? failure_set(failure, r, "the path of the definitions is too long") : 0;
}
