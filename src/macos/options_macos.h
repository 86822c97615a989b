/* SPDX-License-Identifier: Apache-2.0 */
/* options_macos.h - the command line of vmnet-broker on macOS. */
#pragma once
#include "log.h"

#include <stdint.h>

struct options {
    uint32_t idle_timeout_sec;
    enum log_level log_level;
    const char *config_dir;
};

/* --help, --version and mistakes end the process. */
void options_parse(int argc, char **argv, struct options *ret);
