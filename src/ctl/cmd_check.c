/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_check.c - says what is wrong with network definitions, before a network is asked for.
 *
 * A NAME is looked up and opened exactly as the daemon does it, and who may write to the
 * file counts. A FILE is a draft: its contents count, and its name, which is the network's.
 */
#include "definitions.h"
#include "file.h"
#include "mem.h"
#include "str.h"
#include "surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

DEFINE_AUTO(json_t *, json_decref);

#define WHERE_SIZE (2 * PATH_MAX + 32)

struct check {
    const struct ctl *ctl;
    const struct def_dirs *dirs;
    struct surroundings around;
    json_t *results; /* for --json */
    bool broken;
};

/* One definition and what was found out about it. */
struct finding {
    char name[NAME_MAX + 1]; /* as far as it is one */
    char file[PATH_MAX];     /* "": none, or built in */
    struct definition *definition;
    struct complaints complaints;
};

/* ---- finding out ---- */

static void wrong(struct finding *f, const char *what, const char *remedy)
{
    complaints_add(&f->complaints, (struct position){ 0 }, "%s", what);
    complaints_remedy(&f->complaints, "%s", remedy);
}

/* "dir/lab.json" is about the network 'lab'. */
static bool take_name(struct finding *f)
{
    const char *slash = strrchr(f->file, '/');
    (void)str_copy(f->name, sizeof f->name, slash ? slash + 1 : f->file);
    size_t len = strlen(f->name), suffix = strlen(DEFINITION_SUFFIX);
    if (len > suffix && strcmp(f->name + len - suffix, DEFINITION_SUFFIX) == 0) {
        f->name[len - suffix] = '\0';
        if (name_valid(f->name))
            return true;
    }
    wrong(f, "the file's name is not that of a network with " DEFINITION_SUFFIX " behind it",
          "rename it: " NAME_RULES);
    return false;
}

static int check_file(struct finding *f)
{
    AUTO_FREE char *text = NULL;
    size_t len = 0;
    if (!take_name(f))
        return -EBADMSG;
    int r = file_read(AT_FDCWD, f->file, DEFINITION_FILE_MAX, &text, &len);
    if (r == 0)
        return definition_parse(f->name, f->file, text, len, &f->definition, &f->complaints);
    wrong(f, r == -EINVAL ? "it is no regular file" : strerror(-r), "");
    return -EBADMSG;
}

static int check_name(const struct check *check, struct finding *f)
{
    char where[WHERE_SIZE];
    int r = def_dir_find(check->dirs, f->name, &f->definition, f->file, &f->complaints);
    if (r == -EINVAL)
        wrong(f, "this cannot be a network's name", "write " NAME_RULES);
    else if (r == -ENOENT) {
        complaints_add(&f->complaints, (struct position){ 0 },
                       "there is no " DEFINITION_SUFFIX " file of this name");
        (void)def_dirs_format(check->dirs, where, sizeof where);
        complaints_remedy(&f->complaints, "write %s", where);
    }
    return r == -EINVAL || r == -ENOENT ? -EBADMSG : r;
}

/* ---- saying ---- */

static int note(struct check *check, const struct finding *f)
{
    AUTO(json_decref) json_t *problems = json_array();
    for (size_t i = 0; i < f->complaints.n; i++) {
        const struct complaint *c = &f->complaints.items[i];
        if (json_array_append_new(problems, json_pack("{s:i, s:i, s:s, s:s}", "line",
                                                      (int)c->at.line, "column", (int)c->at.column,
                                                      "problem", c->what, "remedy", c->remedy)) < 0)
            return -ENOMEM;
    }
    return json_array_append_new(check->results,
                                 json_pack("{s:s, s:s?, s:b, s:O, s:I}", "name", f->name, "file",
                                           f->file[0] ? f->file : NULL, "valid",
                                           f->complaints.n == 0, "problems", problems, "left_out",
                                           (json_int_t)f->complaints.left_out));
}

static void print(const struct finding *f)
{
    char line[COMPLAINT_LINE];
    const char *subject = f->file[0] ? f->file : f->name;
    for (size_t i = 0; i < f->complaints.n; i++)
        puts(complaint_format(&f->complaints.items[i], subject, line, sizeof line));
    if (f->complaints.left_out > 0)
        printf("%s: and %zu more\n", subject, f->complaints.left_out);
    if (f->complaints.n == 0)
        printf("%s: %s\n", subject, f->definition->file ? "ok" : "ok, built in");
}

/* Takes the finding over. 0, or a negative errno, said. */
static int conclude(struct check *check, struct finding *f, int r)
{
    if (r == 0)
        r = surroundings_check(&check->around, f->definition, &f->complaints);
    complaints_sort(&f->complaints);
    check->broken = check->broken || f->complaints.n > 0;
    if (r == 0 || r == -EBADMSG) {
        r = 0;
        if (!check->ctl->json)
            print(f);
        else if (note(check, f) < 0)
            r = -ENOMEM;
    }
    if (r < 0)
        complain("cannot check '%s': %s", f->name, strerror(-r));
    f->definition = definition_unref(f->definition);
    return r;
}

static int check_one(struct check *check, const char *argument)
{
    struct finding f = { 0 };
    size_t len = strlen(argument), suffix = strlen(DEFINITION_SUFFIX);
    bool is_file = strchr(argument, '/') ||
                   (len > suffix && strcmp(argument + len - suffix, DEFINITION_SUFFIX) == 0);
    int r = is_file ? str_copy(f.file, sizeof f.file, argument)
                    : str_copy(f.name, sizeof f.name, argument);
    if (r == 0)
        r = is_file ? check_file(&f) : check_name(check, &f);
    return conclude(check, &f, r);
}

/* ---- all of them ---- */

/* Its name is what is wrong with it. */
static void on_misnamed(void *arg, const char *path)
{
    (void)check_one(arg, path);
}

/* A directory that cannot be read has no definitions, for the daemon too. */
static void check_directories(struct check *check)
{
    const struct def_dirs *dirs = check->dirs;
    for (size_t i = 0; i < dirs->n; i++) {
        if (access(dirs->paths[i], R_OK | X_OK) == 0 || errno == ENOENT)
            continue;
        complain("%s cannot be read: %s", dirs->paths[i], strerror(errno));
        check->broken = true;
    }
}

static int check_all(struct check *check)
{
    struct def_names names;
    char where[WHERE_SIZE];
    check_directories(check);
    int r = def_dir_names(check->dirs, &names);
    if (r < 0)
        complain("cannot list the definitions: %s", strerror(-r));
    for (size_t i = 0; i < names.n && r == 0; i++)
        r = check_one(check, names.names[i]);
    if (r == 0)
        def_dir_misnamed(check->dirs, on_misnamed, check);
    if (r == 0 && names.n == 0 && !check->broken && !check->ctl->json &&
        def_dirs_format(check->dirs, where, sizeof where) == 0)
        fprintf(stderr, "no network is defined: there is no %s\n", where);
    def_names_clear(&names);
    return r;
}

static int run(struct check *check, int n, char **arguments)
{
    int r = surroundings_read(check->ctl, check->dirs, &check->around);
    if (r == 0 && n == 0)
        r = check_all(check);
    for (int i = 0; i < n && r == 0; i++)
        r = check_one(check, arguments[i]);
    surroundings_clear(&check->around);
    return r;
}

int cmd_check(struct ctl *ctl, int argc, char **argv)
{
    struct definitions d;
    int r = definitions_options(ctl, argc, argv, DEFINITIONS_PLAIN, 0, INT_MAX, &d);
    if (r >= 0)
        return r;
    AUTO(json_decref) json_t *results = json_array();
    struct check check = { .ctl = ctl, .dirs = &d.dirs, .results = results };
    if (run(&check, argc - optind, argv + optind) < 0)
        return EXIT_FAILED;
    if (ctl->json && print_json(results) != EXIT_OK)
        return EXIT_FAILED;
    return check.broken ? EXIT_FAILED : EXIT_OK;
}
