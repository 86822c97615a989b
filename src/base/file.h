/* SPDX-License-Identifier: Apache-2.0 */
/* file.h - small files that are whole or absent, and directories that are ours.
 *
 * A file is replaced by writing a temporary one beside it and renaming: a
 * reader, or the next life of this program, sees the old text or the new one
 * and never half of either. There is no fsync(): what we record is void after
 * a reboot anyway, and the kernel keeps it across the death of a process.
 */
#pragma once
#include <stddef.h>
#include <sys/types.h>

/* Returns 0 or a negative errno; on error the old file stands untouched. */
int file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode);

/* Reads a whole regular file of at most max bytes into malloc'd, NUL-ended
 * memory that the caller frees. -EFBIG when it is larger, -ENOENT when absent. */
int file_read(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len);

/* Opens path as a directory, creating it and its missing parents as 0700. The
 * last component must be ours (-EPERM), no symlink (-ELOOP or -ENOTDIR), and
 * closed to the writes of others (-EPERM). Returns a descriptor (close-on-exec). */
int dir_open_private(const char *path);
