/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line of vmnet-netd. */
#pragma once
#include "log.h"

#include <stdbool.h>
#include <stdint.h>

struct options {
    bool user, system;                   /* one of them */
    bool background;                     /* of a user instance */
    const char *state_dir, *runtime_dir; /* NULL: by the environment */
    uint32_t idle_sec;
    enum log_level level;
};

/* Returns 0, 1 when all is done (--help), or -EINVAL with a word on stderr. */
int options_parse(int argc, char **argv, struct options *ret);
