/* SPDX-License-Identifier: Apache-2.0 */
/* say.c - words on standard error, JSON on standard output. */
#include "ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void complain(const char *fmt, ...)
{
    va_list ap;
    fputs("vmnet-brokerctl: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

void complain_network(const char *network, const char *why)
{
    if (strncmp(why, "network '", 9) == 0 || strncmp(why, "network name ", 13) == 0)
        complain("%s", why);
    else
        complain("network '%s': %s", network, why);
}

int print_json(const json_t *json)
{
    int r = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
    if (r == 0 && fflush(stdout) == 0)
        return EXIT_OK;
    complain("cannot write JSON");
    return EXIT_FAILED;
}
