/* SPDX-License-Identifier: Apache-2.0 */
/* command_line.h - vmnet-brokerctl but for its verbs, of which each system has its own: finds the
 * verb, handles the options of all of them, says how they are used.
 */
#pragma once
#include "ctl.h"

#include <stddef.h>

struct verb {
    const char *name;
    int (*run)(struct ctl *ctl, int argc, char **argv);
    const char *arguments, *summary;
};

/* The same on both: they work on files. */
#define DEFINITION_VERBS                                                                           \
    { "show", cmd_show, "[--config-dir DIR] [NAME]", "show how networks are defined" },            \
        { "add", cmd_add, "[--config-dir DIR] [--replace] NAME [FILE]",                            \
          "define a network by a file, or by standard input" },                                    \
        { "remove", cmd_remove, "[--config-dir DIR] NAME", "remove a network's definition" },      \
    {                                                                                              \
        "check", cmd_check, "[--config-dir DIR] [FILE.json | NAME ...]",                           \
            "check network definitions, or all there are"                                          \
    }

struct program {
    const struct verb *verbs;
    size_t n;
    bool instances; /* there are a user's broker and the system's, to choose from */
};

/* An exit status. Borrowed for as long as the process lives. */
int program_run(const struct program *program, int argc, char **argv);
