/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_remove.c - takes a definition away. Whoever uses the network keeps it. */
#include "definitions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int cmd_remove(struct ctl *ctl, int argc, char **argv)
{
    struct definitions d;
    struct definition *definition = NULL;
    char file[PATH_MAX] = "";
    int r = definitions_options(ctl, argc, argv, DEFINITIONS_PLAIN, 1, 1, &d);
    if (r >= 0)
        return r;

    const char *name = argv[optind];
    r = definitions_find(&d, name, &definition, file);
    bool built_in = r == 0 && !definition->file;
    (void)definition_unref(definition);
    if (built_in) {
        complain("network '%s' is built in: there is no file to remove", name);
        return EXIT_FAILED;
    }
    if (r < 0 && r != -EBADMSG) /* a broken one can go as well */
        return EXIT_FAILED;
    if (unlink(file) < 0) {
        complain("cannot remove %s: %s", file, strerror(errno));
        return EXIT_FAILED;
    }
    if (!ctl->json)
        printf("%s is removed; whoever uses network '%s' keeps it\n", file, name);
    return EXIT_OK;
}
