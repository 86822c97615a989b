/* SPDX-License-Identifier: Apache-2.0 */
/* test_config.c - each tests/config/NAME.json is read as the definition of the network NAME,
 * and must give what NAME.expect says: "ok", or the complaints as `check` prints them. */
#include "definition.h"

#include "file.h"
#include "mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int dir = -1;
static unsigned cases, failures;

static char *answer(const char *name, const char *file, const char *text, size_t len)
{
    static struct complaints complaints;
    struct definition *definition = NULL;
    char line[COMPLAINT_LINE], *ret = NULL;
    size_t size;
    FILE *out = open_memstream(&ret, &size);
    assert_non_null(out);

    complaints = (struct complaints){ 0 };
    int r = definition_parse(name, file, text, len, &definition, &complaints);
    assert_int_equal(r, complaints.n > 0 ? -EBADMSG : 0);
    assert_true((definition != NULL) == (r == 0));
    for (size_t i = 0; i < complaints.n; i++)
        fprintf(out, "%s\n", complaint_format(&complaints.items[i], file, line, sizeof line));
    if (complaints.left_out > 0)
        fprintf(out, "%s: and %zu more\n", file, complaints.left_out);
    if (complaints.n == 0)
        fputs("ok\n", out);
    assert_int_equal(fclose(out), 0);
    definition_unref(definition);
    return ret;
}

static void run_case(const char *file)
{
    char name[NAME_SIZE], expect[NAME_SIZE + 8];
    AUTO_FREE char *text = NULL, *wanted = NULL;
    size_t len;
    (void)snprintf(name, sizeof name, "%.*s", (int)(strrchr(file, '.') - file), file);
    (void)snprintf(expect, sizeof expect, "%s.expect", name);

    cases++;
    assert_int_equal(file_read(dir, file, DEFINITION_FILE_MAX, &text, &len), 0);
    int r = file_read(dir, expect, DEFINITION_FILE_MAX, &wanted, NULL);
    AUTO_FREE char *got = answer(name, file, text, len);
    if (r == 0 && strcmp(got, wanted) == 0)
        return;
    failures++;
    print_error("--- tests/config/%s gives:\n%s--- and should give:\n%s", file, got,
                r == 0 ? wanted : "(there is no .expect)\n");
}

static void each_file_gives_the_expected_answer(void **unused)
{
    (void)unused;
    struct dirent **files;
    int n = scandirat(dir, ".", &files, NULL, alphasort);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        const char *suffix = strrchr(files[i]->d_name, '.');
        if (suffix && strcmp(suffix, ".json") == 0)
            run_case(files[i]->d_name);
        free(files[i]);
    }
    free(files);
    assert_true(cases > 50);
    assert_int_equal(failures, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_file_gives_the_expected_answer),
    };
    dir = open(argc > 1 ? argv[1] : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
