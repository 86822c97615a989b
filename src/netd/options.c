/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - see options.h. */
#include "options.h"

#include "str.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#define IDLE_DEFAULT 120u

static void usage(FILE *out)
{
    fprintf(out, "usage: vmnet-netd --user [--background] [OPTION...]\n"
                 "       vmnet-netd --system [OPTION...]\n"
                 "The privileged helper of vmnet-broker, which starts it on demand.\n"
                 "Options: --state-dir DIR, --runtime-dir DIR, --idle-timeout SECONDS,\n"
                 "         --log-level LEVEL\n");
}

static int parse_option(int option, const char *value, struct options *o)
{
    unsigned long number;
    int r = 0;

    switch (option) {
    case 'u':
        o->user = true;
        return 0;
    case 'y':
        o->system = true;
        return 0;
    case 'b':
        o->background = true;
        return 0;
    case 's':
        o->state_dir = value;
        return 0;
    case 'r':
        o->runtime_dir = value;
        return 0;
    case 'i':
        r = str_to_uint(value, 0, 31536000, &number);
        if (r == 0)
            o->idle_sec = (uint32_t)number;
        break;
    case 'l':
        r = log_level_parse(value, &o->level);
        break;
    default:
        return -EINVAL; /* getopt has said why */
    }
    if (r < 0)
        fprintf(stderr, "vmnet-netd: '%s' is not a value that this option takes\n", value);
    return r;
}

int options_parse(int argc, char **argv, struct options *ret)
{
    static const struct option options[] = {
        { "user", no_argument, NULL, 'u' },
        { "system", no_argument, NULL, 'y' },
        { "background", no_argument, NULL, 'b' },
        { "state-dir", required_argument, NULL, 's' },
        { "runtime-dir", required_argument, NULL, 'r' },
        { "idle-timeout", required_argument, NULL, 'i' },
        { "log-level", required_argument, NULL, 'l' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int option;

    *ret = (struct options){ .idle_sec = IDLE_DEFAULT, .level = LOG_LEVEL_INFO };
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout);
            return 1;
        }
        if (parse_option(option, optarg, ret) < 0)
            return -EINVAL;
    }
    if (optind < argc || ret->user == ret->system || (ret->system && ret->background)) {
        usage(stderr);
        return -EINVAL;
    }
    return 0;
}
