/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_add.c - writes a definition, if there is nothing wrong with it. */
#include "definitions.h"
#include "file.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 0 or a negative errno. One byte more than a definition may have is enough to refuse it. */
static int read_stdin(char **ret, size_t *len)
{
    AUTO_FREE char *text = malloc(DEFINITION_FILE_MAX + 1);

    if (!text)
        return -ENOMEM;
    *len = fread(text, 1, DEFINITION_FILE_MAX + 1, stdin);
    if (ferror(stdin))
        return -EIO;
    if (*len > DEFINITION_FILE_MAX)
        return -EFBIG;
    *ret = take_ptr(&text);
    return 0;
}

int cmd_add(struct ctl *ctl, int argc, char **argv)
{
    struct definitions d;
    AUTO_FREE char *text = NULL;
    size_t len = 0;
    int r = definitions_options(ctl, argc, argv, DEFINITIONS_REPLACE, 1, 2, &d);
    if (r >= 0)
        return r;

    const char *name = argv[optind];
    const char *file = optind + 1 < argc ? argv[optind + 1] : "-";
    r = strcmp(file, "-") == 0 ? read_stdin(&text, &len)
                               : file_read(AT_FDCWD, file, DEFINITION_FILE_MAX, &text, &len);
    if (r < 0) {
        complain("cannot read %s: %s", strcmp(file, "-") == 0 ? "standard input" : file,
                 r == -EFBIG    ? "it is larger than any definition"
                 : r == -EINVAL ? "it is no regular file"
                                : strerror(-r));
        return EXIT_FAILED;
    }
    r = definitions_write(ctl, &d, name, text, len);
    if (r == EXIT_OK && !ctl->json)
        printf("network '%s' is defined in %s/%s" DEFINITION_SUFFIX "\n", name,
               definitions_home(&d), name);
    return r;
}
