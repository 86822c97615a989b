/* SPDX-License-Identifier: Apache-2.0 */
#include "options_macos.h"

#include "def_dir.h"
#include "str.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define IDLE_TIMEOUT_DEFAULT 120

static const char help[] =
    "Usage: vmnet-broker [OPTION]...\n"
    "Lends named virtual-machine networks. Started by launchd, as the Mach service\n"
    "com.github.nirs.vmnet-broker.\n"
    "\n"
    "  --config-dir DIRECTORY  read definitions there only (default: " DEFINITIONS_SYSTEM ")\n"
    "  --idle-timeout SECONDS  keep an unused network, and an unused broker, for so long\n"
    "                          (default: 120)\n"
    "  --log-level LEVEL       error, warning, info (default) or debug\n"
    "  --version               show the version\n"
    "  --help                  show this help\n";

enum { OPT_CONFIG_DIR = 256, OPT_IDLE_TIMEOUT, OPT_LOG_LEVEL, OPT_VERSION, OPT_HELP };

static const struct option long_options[] = {
    { "config-dir", required_argument, NULL, OPT_CONFIG_DIR },
    { "idle-timeout", required_argument, NULL, OPT_IDLE_TIMEOUT },
    { "log-level", required_argument, NULL, OPT_LOG_LEVEL },
    { "version", no_argument, NULL, OPT_VERSION },
    { "help", no_argument, NULL, OPT_HELP },
    { NULL, 0, NULL, 0 },
};

static _Noreturn void mistake(const char *what)
{
    fprintf(stderr, "vmnet-broker: %s; see vmnet-broker --help\n", what);
    exit(2);
}

static void take(int option, struct options *ret)
{
    unsigned long seconds;
    switch (option) {
    case OPT_CONFIG_DIR:
        ret->config_dir = optarg;
        break;
    case OPT_IDLE_TIMEOUT:
        if (str_to_uint(optarg, 0, 86400, &seconds) < 0)
            mistake("--idle-timeout wants a number of seconds, 0 to 86400");
        ret->idle_timeout_sec = (uint32_t)seconds;
        break;
    case OPT_LOG_LEVEL:
        if (log_level_parse(optarg, &ret->log_level) < 0)
            mistake("--log-level wants error, warning, info or debug");
        break;
    case OPT_VERSION:
        puts("vmnet-broker " VERSION);
        exit(0);
    case OPT_HELP:
        fputs(help, stdout);
        exit(0);
    default: /* getopt has said what is wrong */
        exit(2);
    }
}

void options_parse(int argc, char **argv, struct options *ret)
{
    int option;
    *ret = (struct options){ IDLE_TIMEOUT_DEFAULT, LOG_LEVEL_INFO, DEFINITIONS_SYSTEM };
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        take(option, ret);
    if (optind < argc)
        mistake("no arguments are expected");
}
