/* SPDX-License-Identifier: Apache-2.0 */
/* start.h - what --background does: see to it that one broker answers. */
#pragma once
#include "options.h"
#include "paths.h"
#include "status.h"

/* 0:  we are the daemon now; *ready is to be told the outcome (base/background.h);
 * 1:  a broker answers, nothing is left to do;
 * negative errno, with words. */
int start_in_background(const struct options *options, char *argv[], const struct paths *paths,
                        int *ready, struct failure *failure);
