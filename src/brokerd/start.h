/* SPDX-License-Identifier: Apache-2.0 */
/* start.h - what --background does: see to it that one broker answers. */
#pragma once
#include "options.h"
#include "paths.h"
#include "status.h"

#include <systemd/sd-bus.h>

/* 0:  we are the daemon now; *ready is to be told the outcome (base/background.h);
 * 1:  a broker answers, nothing is left to do;
 * negative errno, with words. */
int start_in_background(const struct options *options, char *argv[], const struct paths *paths,
                        int *ready, struct failure *failure);

/* Asks the systemd manager at the other end of bus to run program with argv, but for
 * --background and with --on-demand. 0 when it has agreed, or a negative errno. */
int start_unit(sd_bus *bus, const char *program, char *argv[]);
