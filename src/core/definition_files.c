/* SPDX-License-Identifier: Apache-2.0 */
#include "definition_files.h"

static int find(void *self, const char *name, struct definition **ret, char *file,
                struct complaints *out)
{
    return def_dir_find(self, name, ret, file, out);
}

static int stamp(void *self, const char *name, struct file_stamp *ret)
{
    return def_dir_stamp(self, name, ret);
}

static int names(void *self, struct def_names *ret)
{
    return def_dir_names(self, ret);
}

struct definition_source definition_files(struct def_dirs *dirs, const char *where)
{
    static const struct definition_source_ops ops = { find, stamp, names };
    return (struct definition_source){ .ops = &ops, .self = dirs, .where = where };
}

struct definition_source policy_file(struct def_dirs *dirs, const char *where)
{
    struct definition_source source = definition_files(dirs, where);
    source.kind = "file";
    return source;
}
