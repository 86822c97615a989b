/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line of vmnet-broker(8). */
#pragma once
#include "log.h"

#include <stdbool.h>
#include <stdint.h>

/* The program's exit codes beside 0 and 1. */
#define EXIT_USAGE  2
#define EXIT_LOCKED 3 /* another broker serves this state directory */

struct options {
    bool system;        /* else the user instance */
    bool background;    /* come back when the socket answers */
    bool on_demand;     /* exit when idle */
    const char *socket; /* absolute paths, borrowed from argv; NULL: the usual place */
    const char *config_dir;
    const char *state_dir;
    uint32_t idle_timeout_sec;
    enum log_level log_level;
};

/* Returns true to go on with *ret. Otherwise help, the version or what is wrong has been
 * printed, and the program is to end with *exit_code. */
bool options_parse(int argc, char *argv[], struct options *ret, int *exit_code);
