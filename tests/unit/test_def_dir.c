/* SPDX-License-Identifier: Apache-2.0 */
/* Which file is a network's definition, and which are refused, in two directories on disk. */
#include "def_dir.h"

#include "fd.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char top[] = "/tmp/test_def_dir.XXXXXX";
static char own[64], common[64];
static struct def_dirs dirs;

static char *path(const char *dir, const char *file)
{
    static char ret[128];
    (void)snprintf(ret, sizeof ret, "%s/%s", dir, file);
    return ret;
}

static void put(const char *dir, const char *file, const char *text)
{
    AUTO_FD fd = open(path(dir, file), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static int set_up(void **unused)
{
    (void)unused;
    assert_int_equal(mkdir(own, 0755) | mkdir(common, 0755), 0);
    dirs = (struct def_dirs){ { own, common }, 2, geteuid() };
    return 0;
}

static int tear_down(void **unused)
{
    char command[160];
    (void)unused;
    (void)snprintf(command, sizeof command, "rm -rf %s/*", top);
    return system(command); /* NOLINT(cert-env33-c): a fixed command in a directory of ours */
}

/* The outcome, and the first complaint. */
static int find(const char *name, struct definition **ret, const char **what)
{
    static struct complaints complaints;
    char file[PATH_MAX];
    complaints = (struct complaints){ 0 };
    int r = def_dir_find(&dirs, name, ret, file, &complaints);
    assert_true((r == -EBADMSG) == (complaints.n > 0));
    assert_true(r != -EBADMSG || strstr(file, name));
    if (what)
        *what = complaints.n > 0 ? complaints.items[0].what : "";
    return r;
}

static void must_be_broken(const char *name, const char *why)
{
    struct definition *d = NULL;
    const char *what;
    assert_int_equal(find(name, &d, &what), -EBADMSG);
    assert_null(d);
    if (!strstr(what, why))
        fail_msg("'%s' says nothing of '%s'", what, why);
}

static unsigned mtu_of(const char *name)
{
    struct definition *d = NULL;
    const char *what;
    if (find(name, &d, &what) < 0)
        fail_msg("'%s': %s", name, what);
    unsigned mtu = d->net.mtu;
    definition_unref(d);
    return mtu;
}

static void a_file_is_found_by_its_name(void **unused)
{
    struct definition *d = NULL;
    (void)unused;
    put(common, "lab.json", "{ \"mode\": \"host\" }");
    assert_int_equal(find("lab", &d, NULL), 0);
    assert_string_equal(d->net.name, "lab");
    assert_string_equal(d->file, path(common, "lab.json"));
    definition_unref(d);
    assert_int_equal(find("lab2", &d, NULL), -ENOENT);
    assert_int_equal(find("../lab", &d, NULL), -EINVAL);
    assert_int_equal(find("", &d, NULL), -EINVAL);
}

static void what_is_built_in_needs_no_directory(void **unused)
{
    struct definition *d = NULL;
    (void)unused;
    dirs = (struct def_dirs){ { "/nonexistent" }, 1, geteuid() };
    assert_int_equal(find("shared", &d, NULL), 0);
    assert_null(d->file);
    definition_unref(d);
    assert_int_equal(find("lab", &d, NULL), -ENOENT);
}

static void the_first_directory_counts(void **unused)
{
    (void)unused;
    put(common, "shared.json", "{ \"mode\": \"shared\", \"mtu\": 1401 }");
    assert_int_equal(mtu_of("shared"), 1401);
    put(own, "shared.json", "{ \"mode\": \"shared\", \"mtu\": 1402 }");
    assert_int_equal(mtu_of("shared"), 1402);
    put(own, "shared.json", "{ \"mode\": \"shared\", }");
    must_be_broken("shared", "no JSON"); /* and not the other one, or what is built in */
    assert_int_equal(unlink(path(own, "shared.json")), 0);
    assert_int_equal(mtu_of("shared"), 1401);
}

static void a_stamp_tells_that_a_file_has_changed(void **unused)
{
    struct file_stamp before, after;
    char new[128];
    struct definition *d = NULL;
    (void)unused;
    put(own, "lab.json", "{ \"mode\": \"shared\", \"mtu\": 1401 }");
    assert_int_equal(find("lab", &d, NULL), 0);
    assert_int_equal(def_dir_stamp(&dirs, "lab", &before), 0);
    assert_true(file_stamp_equal(&d->stamp, &before));
    definition_unref(d);

    put(own, ".lab.json.new", "{ \"mode\": \"shared\", \"mtu\": 1402 }"); /* as long */
    (void)snprintf(new, sizeof new, "%s", path(own, ".lab.json.new"));
    assert_int_equal(rename(new, path(own, "lab.json")), 0);
    assert_int_equal(def_dir_stamp(&dirs, "lab", &after), 0);
    assert_false(file_stamp_equal(&before, &after));
    assert_int_equal(unlink(path(own, "lab.json")), 0);
    assert_int_equal(def_dir_stamp(&dirs, "lab", &after), -ENOENT);
    assert_int_equal(def_dir_stamp(&dirs, "../lab", &after), -ENOENT);
}

static void what_others_can_write_is_refused(void **unused)
{
    (void)unused;
    put(own, "lab.json", "{ \"mode\": \"shared\" }");
    assert_int_equal(chmod(path(own, "lab.json"), 0664), 0);
    must_be_broken("lab", "written by its group");
    assert_int_equal(chmod(path(own, "lab.json"), 0646), 0);
    must_be_broken("lab", "written by everybody");
    assert_int_equal(chmod(path(own, "lab.json"), 0600), 0);
    assert_int_equal(mtu_of("lab"), 1500);

    assert_int_equal(chmod(own, 0777), 0);
    must_be_broken("lab", "its directory can be written by everybody");
    assert_int_equal(chmod(own, 01777), 0);
    must_be_broken("lab", "its directory can be written by everybody");
    assert_int_equal(chmod(own, 0775), 0);
    must_be_broken("lab", "its directory can be written by its group");
}

/* Root gives the file away; anybody else pretends to be another instance. */
static void what_others_own_is_refused(void **unused)
{
    (void)unused;
    put(own, "lab.json", "{ \"mode\": \"shared\" }");
    if (geteuid() == 0) {
        assert_int_equal(mtu_of("lab"), 1500);
        assert_int_equal(chown(path(own, "lab.json"), 4711, 4711), 0);
        must_be_broken("lab", "the file belongs to user 4711");
        dirs.owner = 4711;
        assert_int_equal(mtu_of("lab"), 1500);
        assert_int_equal(chown(own, 4712, 4712), 0);
        must_be_broken("lab", "its directory belongs to user 4712");
    } else {
        dirs.owner = geteuid() + 1;
        must_be_broken("lab", "its directory belongs to user");
    }
}

static void what_is_no_file_is_refused_at_once(void **unused)
{
    (void)unused;
    put(common, "real.json", "{ \"mode\": \"shared\" }");
    assert_int_equal(symlink("../common/real.json", path(own, "link.json")), 0);
    assert_int_equal(symlink("nowhere", path(own, "dangling.json")), 0);
    assert_int_equal(mkfifo(path(own, "fifo.json"), 0600), 0);
    assert_int_equal(mkdir(path(own, "dir.json"), 0700), 0);
    must_be_broken("link", "symbolic link");
    must_be_broken("dangling", "symbolic link");
    must_be_broken("fifo", "no regular file");
    must_be_broken("dir", "no regular file");
    assert_int_equal(mtu_of("real"), 1500);
}

static void a_huge_file_is_not_read(void **unused)
{
    (void)unused;
    put(own, "lab.json", "{ \"mode\": \"shared\" }");
    assert_int_equal(truncate(path(own, "lab.json"), (off_t)DEFINITION_FILE_MAX + 1), 0);
    must_be_broken("lab", "larger than");
    assert_int_equal(truncate(path(own, "lab.json"), (off_t)1 << 30), 0);
    must_be_broken("lab", "larger than");
    assert_int_equal(truncate(path(own, "lab.json"), DEFINITION_FILE_MAX), 0);
    must_be_broken("lab", "no JSON"); /* zeros: read, and wrong */
}

static void on_misnamed(void *arg, const char *file)
{
    assert_string_equal(file, path(own, "Lab.json"));
    ++*(unsigned *)arg;
}

static void names_are_those_of_files_once_each(void **unused)
{
    struct def_names names;
    unsigned misnamed = 0;
    (void)unused;
    put(common, "lab.json", "");
    put(common, "b.json", "");
    put(own, "lab.json", "");
    put(own, "a-1.json", "");
    put(own, "Lab.json", "");
    put(own, ".hidden.json", "");
    put(own, "lab.json~", "");
    put(own, "lab.json.bak", "");
    put(own, "json", "");
    assert_int_equal(def_dir_names(&dirs, &names), 0);
    assert_int_equal(names.n, 3);
    assert_string_equal(names.names[0], "a-1");
    assert_string_equal(names.names[1], "b");
    assert_string_equal(names.names[2], "lab");
    def_names_clear(&names);
    def_dir_misnamed(&dirs, on_misnamed, &misnamed);
    assert_int_equal(misnamed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_found_by_its_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_built_in_needs_no_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_first_directory_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stamp_tells_that_a_file_has_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_others_can_write_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_others_own_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_huge_file_is_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_those_of_files_once_each, set_up, tear_down),
    };
    if (!mkdtemp(top))
        return 1;
    (void)snprintf(own, sizeof own, "%s/own", top);
    (void)snprintf(common, sizeof common, "%s/common", top);
    int failed = cmocka_run_group_tests_name("def_dir", tests, NULL, NULL);
    (void)rmdir(top);
    return failed;
}
