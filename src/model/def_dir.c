/* SPDX-License-Identifier: Apache-2.0 */
#include "def_dir.h"

#include "fd.h"
#include "mem.h"
#include "str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#ifdef __APPLE__
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#endif

#define FILE_NAME_SIZE (NAME_SIZE + sizeof DEFINITION_SUFFIX)

int def_dirs_format(const struct def_dirs *dirs, char *ret, size_t size)
{
    if (dirs->n < 2)
        return str_format(ret, size, "%s/NAME" DEFINITION_SUFFIX,
                          dirs->n > 0 ? dirs->paths[0] : "");
    return str_format(ret, size, "%s/NAME" DEFINITION_SUFFIX " or %s/NAME" DEFINITION_SUFFIX,
                      dirs->paths[0], dirs->paths[1]);
}

__attribute__((format(printf, 2, 3))) static int broken(struct complaints *out, const char *what,
                                                        ...)
{
    char text[COMPLAINT_TEXT];
    va_list ap;
    va_start(ap, what);
    (void)vsnprintf(text, sizeof text, what, ap);
    va_end(ap);
    complaints_add(out, (struct position){ 0 }, "%s", text);
    return -EBADMSG;
}

static void stamp_of(const struct stat *st, struct file_stamp *ret)
{
    *ret = (struct file_stamp){
        .dev = (uint64_t)st->st_dev,
        .ino = (uint64_t)st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_sec = st->st_mtim.tv_sec,
        .mtime_nsec = st->st_mtim.tv_nsec,
        .ctime_sec = st->st_ctim.tv_sec,
        .ctime_nsec = st->st_ctim.tv_nsec,
    };
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime_sec == b->mtime_sec && a->mtime_nsec == b->mtime_nsec &&
           a->ctime_sec == b->ctime_sec && a->ctime_nsec == b->ctime_nsec;
}

/* ---- who may write ---- */

static int check_owner(const struct stat *st, uid_t owner, const char *what, const char *path,
                       struct complaints *out)
{
    if (st->st_uid != 0 && st->st_uid != owner) {
        (void)broken(out, "%s belongs to user %lu, who is neither root nor the broker's user", what,
                     (unsigned long)st->st_uid);
        complaints_remedy(out, "chown root %s", path);
        return -EBADMSG;
    }
    if (st->st_mode & 022) {
        (void)broken(out, "%s can be written by %s", what,
                     st->st_mode & 02 ? "everybody" : "its group");
        complaints_remedy(out, "chmod go-w %s", path);
        return -EBADMSG;
    }
    return 0;
}

static int check_file(const struct stat *st, uid_t owner, const char *path, struct complaints *out)
{
    if (!S_ISREG(st->st_mode)) {
        (void)broken(out, "the file is no regular file");
        complaints_remedy(out, "put the definition itself there");
        return -EBADMSG;
    }
    if (st->st_size > (off_t)DEFINITION_FILE_MAX)
        return broken(out, "the file is larger than %u bytes", DEFINITION_FILE_MAX);
    return check_owner(st, owner, "the file", path, out);
}

/* ---- reading ---- */

/* Whether an error says that we lack something for the moment, not that the thing is bad. */
static bool momentary(int err)
{
    return err == ENOMEM || err == EMFILE || err == ENFILE;
}

/* -EBADMSG with words for a file that is there and cannot be opened as one. */
static int open_file(int dir, const char *name, struct complaints *out)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    if (errno == ENOENT || momentary(errno))
        return -errno;
    if (errno != ELOOP)
        return broken(out, "the file cannot be opened: %s", strerror(errno));
    (void)broken(out, "the file is a symbolic link");
    complaints_remedy(out, "put the definition itself there");
    return -EBADMSG;
}

/* A file that shrinks or grows while we read it is what it is in the end: not larger than
 * what fits, and seldom good JSON. */
static int read_text(int fd, char *text, size_t size, size_t *ret)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, text + len, size - len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    *ret = len;
    return 0;
}

static int load(const struct def_dirs *dirs, int fd, const struct stat *st, const char *name,
                const char *path, struct definition **ret, struct complaints *out)
{
    size_t size = DEFINITION_FILE_MAX + 1, len = 0;
    AUTO_FREE char *text = malloc(size);
    if (!text)
        return -ENOMEM;
    int r = read_text(fd, text, size, &len);
    if (r < 0)
        return broken(out, "the file cannot be read: %s", strerror(-r));
    if (len == size)
        return broken(out, "the file is larger than %u bytes", DEFINITION_FILE_MAX);
    r = (dirs->parse ? dirs->parse : definition_parse)(name, path, text, len, ret, out);
    if (r == 0)
        stamp_of(st, &(*ret)->stamp);
    return r;
}

/* -ENOENT: this directory has no such file; nor has one that we may not read. */
static int find_in(const struct def_dirs *dirs, const char *path, const char *name,
                   struct definition **ret, char *file, struct complaints *out)
{
    char file_name[FILE_NAME_SIZE];
    struct stat dir_st, st;
    (void)snprintf(file_name, sizeof file_name, "%s" DEFINITION_SUFFIX, name);
    AUTO_FD dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return momentary(errno) ? -errno : -ENOENT;
    int r = str_format(file, PATH_MAX, "%s/%s", path, file_name);
    if (r < 0)
        return r;
    AUTO_FD fd = open_file(dir, file_name, out);
    if (fd < 0)
        return fd;
    if (fstat(dir, &dir_st) < 0 || fstat(fd, &st) < 0)
        return -errno;
    r = check_owner(&dir_st, dirs->owner, "its directory", path, out);
    if (r == 0)
        r = check_file(&st, dirs->owner, file, out);
    return r < 0 ? r : load(dirs, fd, &st, name, file, ret, out);
}

int def_dir_find(const struct def_dirs *dirs, const char *name, struct definition **ret, char *file,
                 struct complaints *out)
{
    file[0] = '\0';
    if (!name_valid(name))
        return -EINVAL;
    for (size_t i = 0; i < dirs->n; i++) {
        int r = find_in(dirs, dirs->paths[i], name, ret, file, out);
        if (r != -ENOENT)
            return r;
        file[0] = '\0';
    }
    return definition_builtin(name, ret);
}

int def_dir_stamp(const struct def_dirs *dirs, const char *name, struct file_stamp *ret)
{
    char path[PATH_MAX];
    struct stat st;
    if (!name_valid(name))
        return -ENOENT;
    for (size_t i = 0; i < dirs->n; i++) {
        if (str_format(path, sizeof path, "%s/%s" DEFINITION_SUFFIX, dirs->paths[i], name) < 0)
            continue;
        if (lstat(path, &st) == 0) {
            stamp_of(&st, ret);
            return 0;
        }
    }
    return -ENOENT;
}

/* ---- listing ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool listed(const struct def_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->names[i], name) == 0)
            return true;
    return false;
}

static bool is_definition(const char *file)
{
    size_t len = strlen(file), suffix = strlen(DEFINITION_SUFFIX);
    return file[0] != '.' && len >= suffix && strcmp(file + len - suffix, DEFINITION_SUFFIX) == 0;
}

/* "lab.json" gives "lab"; false: no definition's file name. */
static bool name_of_file(const char *file, char ret[NAME_SIZE])
{
    if (!is_definition(file))
        return false;
    size_t len = strlen(file) - strlen(DEFINITION_SUFFIX);
    if (len >= NAME_SIZE)
        return false;
    memcpy(ret, file, len);
    ret[len] = '\0';
    return name_valid(ret);
}

static int add_names(DIR *dir, struct def_names *names)
{
    struct dirent *entry;
    char name[NAME_SIZE];
    while ((entry = readdir(dir))) {
        if (!name_of_file(entry->d_name, name) || listed(names, name))
            continue;
        if (names->n == DEF_NAMES_MAX)
            return -E2BIG;
        memcpy(names->names[names->n++], name, NAME_SIZE);
    }
    return 0;
}

int def_dir_names(const struct def_dirs *dirs, struct def_names *ret)
{
    int result = 0;
    *ret = (struct def_names){ calloc(DEF_NAMES_MAX, sizeof *ret->names), 0 };
    if (!ret->names)
        return -ENOMEM;
    for (size_t i = 0; i < dirs->n; i++) {
        DIR *dir = opendir(dirs->paths[i]);
        if (!dir)
            continue;
        int r = add_names(dir, ret);
        result = result < 0 ? result : r;
        (void)closedir(dir);
    }
    qsort(ret->names, ret->n, sizeof *ret->names, by_name);
    return result;
}

void def_names_clear(struct def_names *names)
{
    free(names->names);
    *names = (struct def_names){ 0 };
}

void def_dir_misnamed(const struct def_dirs *dirs, void (*found)(void *arg, const char *path),
                      void *arg)
{
    for (size_t i = 0; i < dirs->n; i++) {
        struct dirent *entry;
        char name[NAME_SIZE], path[PATH_MAX];
        DIR *dir = opendir(dirs->paths[i]);
        while (dir && (entry = readdir(dir)))
            if (is_definition(entry->d_name) && !name_of_file(entry->d_name, name) &&
                str_format(path, sizeof path, "%s/%s", dirs->paths[i], entry->d_name) == 0)
                found(arg, path);
        if (dir)
            (void)closedir(dir);
    }
}
