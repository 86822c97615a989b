/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "paths.h"

#include <unistd.h>

int config_init(struct config *config, const struct options *options, struct failure *failure)
{
    *config = (struct config){ .dirs.owner = getuid() };
    paths_definitions(options->config_dir, options->system, config->user, sizeof config->user,
                      &config->dirs);
    int r = def_dirs_format(&config->dirs, config->where, sizeof config->where);
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
