/* SPDX-License-Identifier: Apache-2.0 */
#include "definitions.h"

#include "fd.h"
#include "file.h"
#include "paths.h"
#include "str.h"
#include "surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int definitions_options(struct ctl *ctl, int argc, char **argv, enum definitions_option also,
                        int min, int max, struct definitions *ret)
{
    static const struct option more[] = {
        [DEFINITIONS_PLAIN] = { 0 },
        [DEFINITIONS_REPLACE] = { "replace", no_argument, NULL, 'r' },
        [DEFINITIONS_SAVE] = { "save", no_argument, NULL, 's' },
    };
    const struct option options[] = {
        COMMON_OPTIONS,
        { "config-dir", required_argument, NULL, 'c' },
        more[also],
        { 0 },
    };
    int c;

    *ret = (struct definitions){ .config_dir = NULL };
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        int r = -1;
        if (c == 'c')
            ret->config_dir = optarg;
        else if (c == 'r')
            ret->replace = true;
        else if (c == 's')
            ret->save = true;
        else
            r = common_option(ctl, argv[0], c);
        if (r >= 0)
            return r;
    }
    if (argc - optind < min || argc - optind > max)
        return usage_error(argv[0], argc - optind < min ? "something is missing"
                                                        : "there are too many arguments");
    bool system = ctl->choice == ENDPOINT_SYSTEM;
    ret->dirs.owner = system && !ret->config_dir ? 0 : geteuid();
    paths_definitions(ret->config_dir, system, ret->user, sizeof ret->user, &ret->dirs);
    return -1;
}

const char *definitions_home(const struct definitions *d)
{
    return d->dirs.paths[0];
}

static void print(const struct complaints *complaints, const char *file)
{
    char line[COMPLAINT_LINE];

    for (size_t i = 0; i < complaints->n; i++)
        fprintf(stderr, "%s\n", complaint_format(&complaints->items[i], file, line, sizeof line));
    if (complaints->left_out > 0)
        fprintf(stderr, "%s: and %zu more\n", file, complaints->left_out);
}

int definitions_find(const struct definitions *d, const char *name, struct definition **ret,
                     char *file)
{
    struct complaints complaints = { 0 };
    char where[2 * PATH_MAX + 32] = "";
    int r = def_dir_find(&d->dirs, name, ret, file, &complaints);

    if (r == -EBADMSG) {
        print(&complaints, file);
    } else if (r == -EINVAL) {
        complain("'%s' cannot be a network's name: write " NAME_RULES, name);
    } else if (r == -ENOENT) {
        (void)def_dirs_format(&d->dirs, where, sizeof where);
        complain("no network '%s' is defined: there is no %s", name, where);
    } else if (r < 0) {
        complain("network '%s': cannot read its definition: %s", name, strerror(-r));
    }
    return r;
}

/* ---- writing ---- */

/* 0 when there is nothing to complain of. */
static int check(const struct ctl *ctl, const struct definitions *d, const char *name,
                 const char *file, const char *text, size_t len)
{
    struct definition *definition = NULL;
    struct complaints complaints = { 0 };
    struct surroundings around;

    int r = definition_parse(name, file, text, len, &definition, &complaints);
    if (r == 0) {
        r = surroundings_read(ctl, &d->dirs, &around);
        if (r == 0)
            r = surroundings_check(&around, definition, &complaints);
        surroundings_clear(&around);
    }
    (void)definition_unref(definition);
    complaints_sort(&complaints);
    print(&complaints, file);
    if (r == 0 && complaints.n > 0)
        r = -EBADMSG;
    return r;
}

/* Made if need be: the user's own for nobody else, the system's for everybody to read. */
static int open_home(const struct definitions *d, const struct ctl *ctl)
{
    const char *path = definitions_home(d);

    if (ctl->choice == ENDPOINT_SYSTEM || d->config_dir) {
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return -errno;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }
    return dir_open_private(path);
}

static int write_file(const struct definitions *d, const struct ctl *ctl, const char *base,
                      const char *text, size_t len)
{
    AUTO_FD dir = open_home(d, ctl);

    if (dir < 0)
        return dir;
    if (!d->replace && faccessat(dir, base, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return file_replace(dir, base, text, len, 0644);
}

int definitions_write(const struct ctl *ctl, const struct definitions *d, const char *name,
                      const char *text, size_t len)
{
    char file[PATH_MAX], base[NAME_SIZE + sizeof DEFINITION_SUFFIX];

    if (!name_valid(name)) {
        complain("'%s' cannot be a network's name: write " NAME_RULES, name);
        return EXIT_FAILED;
    }
    if (str_format(base, sizeof base, "%s" DEFINITION_SUFFIX, name) < 0 ||
        str_format(file, sizeof file, "%s/%s", definitions_home(d), base) < 0) {
        complain("the path of %s's definition is too long", name);
        return EXIT_FAILED;
    }
    int r = check(ctl, d, name, file, text, len);
    if (r == -EBADMSG) /* has been said */
        return EXIT_FAILED;
    if (r == 0)
        r = write_file(d, ctl, base, text, len);
    if (r == 0)
        return EXIT_OK;
    complain("cannot write %s: %s", file,
             r == -EEXIST  ? "it exists already; --replace replaces it"
             : r == -EPERM ? "its directory must be yours, and nobody else may write to it"
                           : strerror(-r));
    return EXIT_FAILED;
}
