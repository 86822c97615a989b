/* SPDX-License-Identifier: Apache-2.0 */
/* definitions.h - where the core finds out how a network is defined.
 *
 * core/definition_files.h brings model/def_dir.h, a test brings texts of its own. Definitions are
 * read when they are asked for, so an edit needs no restart; whoever implements this keeps nothing.
 */
#pragma once
#include "def_dir.h"

struct definition_source_ops {
    /* As def_dir_find(), def_dir_stamp() and def_dir_names() in model/def_dir.h. */
    int (*find)(void *self, const char *name, struct definition **ret, char *file,
                struct complaints *out);
    int (*stamp)(void *self, const char *name, struct file_stamp *ret);
    int (*names)(void *self, struct def_names *ret);
};

struct definition_source {
    const struct definition_source_ops *ops;
    void *self;
    const char *where; /* for people: "/etc/vmnet-broker.d/NAME.json"; borrowed */
    const char *kind;  /* of what the names are, for the log; NULL: "network" */
};
