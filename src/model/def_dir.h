/* SPDX-License-Identifier: Apache-2.0 */
/* def_dir.h - the directories of definition files, NAME.json each.
 *
 * A file is read when its network is asked for; nothing is cached here. The stamp that a
 * definition carries tells a caller cheaply whether the file has changed since.
 *
 * Directories have an order: an earlier one's file hides a later one's of the same name, and
 * any of them a built-in network. A hidden definition is not looked at, even when the one
 * that hides it is broken: a mistake must not bring back another network of that name.
 *
 * Whoever can write a definition decides what the host's ports lead to. So a file counts
 * only if it is regular (no symlink, FIFO, device), belongs to root or to the instance's
 * user, nobody else can write to it, and the same is true of its directory.
 */
#pragma once
#include "definition.h"

#include <stddef.h>
#include <sys/types.h>

#define DEFINITIONS_SYSTEM "/etc/vmnet-broker.d"
#define DEFINITION_SUFFIX  ".json"

#define DEF_DIRS_MAX 2

struct def_dirs {
    const char *paths[DEF_DIRS_MAX]; /* first found counts; borrowed */
    size_t n;
    uid_t owner; /* besides root; the instance's user */
    /* What the files are; NULL: definition_parse(). */
    int (*parse)(const char *name, const char *file, const char *text, size_t len,
                 struct definition **ret, struct complaints *out);
};

/* For people: "DIR/NAME.json", "DIR/NAME.json or DIR/NAME.json". 0, or -ENAMETOOLONG with ret
 * made "". */
int def_dirs_format(const struct def_dirs *dirs, char *ret, size_t size);

/* The definition of a network: from the first directory that has a file of the name, or
 * built in.
 *
 * file  PATH_MAX bytes; the path of the file that was found, "" if none was
 *
 * 0, and *ret is the caller's reference; -EINVAL: no valid name; -ENOENT: nobody defines it
 * (a directory that does not exist, or that we may not read, has no files); -EBADMSG: there is a
 * file, and out says what is wrong with it; -ENOMEM, -EMFILE and the like: it could not be found
 * out. On error *ret is untouched. */
int def_dir_find(const struct def_dirs *dirs, const char *name, struct definition **ret, char *file,
                 struct complaints *out);

/* The stamp of the file that def_dir_find() would read now; without opening it. 0; -ENOENT:
 * there is none. */
int def_dir_stamp(const struct def_dirs *dirs, const char *name, struct file_stamp *ret);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);

/* The names that files define, each once, in alphabetical order; valid names only. */
#define DEF_NAMES_MAX 1024u
struct def_names {
    char (*names)[NAME_SIZE];
    size_t n;
};
/* 0; -ENOMEM; -E2BIG: there are more than DEF_NAMES_MAX, which are given. */
int def_dir_names(const struct def_dirs *dirs, struct def_names *ret);
void def_names_clear(struct def_names *names);

/* Calls found() with the path of each file there that ends like a definition, but has the name
 * of no network: somebody may wait for it in vain. */
void def_dir_misnamed(const struct def_dirs *dirs, void (*found)(void *arg, const char *path),
                      void *arg);
