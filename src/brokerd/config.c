/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "paths.h"
#include "str.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int describe(struct config *config)
{
    const struct def_dirs *dirs = &config->dirs;
    if (dirs->n == 1)
        return str_format(config->where, sizeof config->where, "%s/NAME" DEFINITION_SUFFIX,
                          dirs->paths[0]);
    return str_format(config->where, sizeof config->where,
                      "%s/NAME" DEFINITION_SUFFIX " or %s/NAME" DEFINITION_SUFFIX, dirs->paths[0],
                      dirs->paths[1]);
}

int config_init(struct config *config, const struct options *options, struct failure *failure)
{
    struct def_dirs *dirs = &config->dirs;

    *config = (struct config){ .dirs.owner = getuid() };
    if (options->config_dir) {
        dirs->paths[dirs->n++] = options->config_dir;
    } else {
        if (!options->system && paths_user_definitions(config->user, sizeof config->user) == 0)
            dirs->paths[dirs->n++] = config->user;
        dirs->paths[dirs->n++] = DEFINITIONS_SYSTEM;
    }
    int r = describe(config);
    return r < 0 ? failure_set(failure, r, "the path of the definitions is too long") : 0;
}

static int find(void *self, const char *name, struct definition **ret, char *file,
                struct complaints *out)
{
    const struct config *config = self;
    return def_dir_find(&config->dirs, name, ret, file, out);
}

static int stamp(void *self, const char *name, struct file_stamp *ret)
{
    const struct config *config = self;
    return def_dir_stamp(&config->dirs, name, ret);
}

static int names(void *self, struct def_names *ret)
{
    const struct config *config = self;
    return def_dir_names(&config->dirs, ret);
}

struct definition_source config_source(struct config *config)
{
    static const struct definition_source_ops ops = { find, stamp, names };
    return (struct definition_source){ .ops = &ops, .self = config, .where = config->where };
}
