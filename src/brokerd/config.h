/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - where this broker's definitions are. */
#pragma once
#include "def_dir.h"
#include "options.h"
#include "status.h"

#include <limits.h>

#define POLICY_DIRECTORY "/etc/vmnet-broker"
#define POLICY_FILE      POLICY_DIRECTORY "/policy.json"

struct config {
    struct def_dirs dirs;
    struct def_dirs policy; /* of a system instance: who may use networks that do not say it */
    char user[PATH_MAX];    /* the user's own directory; "": none */
    char where[2 * PATH_MAX + 32]; /* in words, for whoever asks for what is not defined */
};

/* --config-dir alone; or the system's directory and, in a user instance, before it the
 * user's own. 0 or a negative errno with words. */
int config_init(struct config *config, const struct options *options, struct failure *failure);
