/* SPDX-License-Identifier: Apache-2.0 */
/* files.c - which files a process may still touch, by Landlock; see confine.h.
 *
 * docs/decisions/ says why Landlock, and not a file system mounted read-only. What it leaves
 * alone is what the lists of calls must not allow: changing modes, owners, times and
 * attributes, and on kernels before 6.2 to empty a file that was opened for reading.
 *
 * The numbers are here because headers are often older than the kernel. */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of the kernel's numbers, in their order. */
enum {
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    REMOVE_DIR = 1 << 4,
    REMOVE_FILE = 1 << 5,
    MAKE_DIR = 1 << 7,
    MAKE_REG = 1 << 8,
    MAKE_SOCK = 1 << 9,
    MAKE_FIFO = 1 << 10,
    TRUNCATE = 1 << 14,
    IOCTL_DEV = 1 << 15,
    SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0,
    SCOPE_SIGNAL = 1 << 1,
    RULE_PATH_BENEATH = 1,
    RULESET_VERSION = 1 << 0,
};

/* What can be asked of something that is no directory. */
#define OF_A_FILE (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV)

struct ruleset {
    uint64_t handled_fs, handled_net, scoped;
};

struct path_rule {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

/* Rights over files by the version of Landlock that first knew them: all below this bit. */
static uint64_t known_rights(int version)
{
    static const unsigned char bits[] = { 0, 13, 14, 15, 15, 16 };

    return (UINT64_C(1) << bits[version < 5 ? version : 5]) - 1;
}

static uint64_t in_numbers(unsigned may)
{
    return (may & FILES_READ ? READ_FILE | READ_DIR : 0) | (may & FILES_RUN ? EXECUTE : 0) |
           (may & FILES_WRITE ? WRITE_FILE | TRUNCATE : 0) |
           (may & FILES_MAKE ? MAKE_REG | MAKE_DIR | REMOVE_FILE | REMOVE_DIR : 0) |
           (may & FILES_LISTEN ? MAKE_SOCK | MAKE_DIR | REMOVE_FILE : 0) |
           (may & FILES_CONTROL ? IOCTL_DEV : 0) | (may & FILES_PIPE ? MAKE_FIFO : 0);
}

int confine_files_version(void)
{
    const char *mode = secure_getenv("VMNET_BROKER_LANDLOCK");
    long version;

    if (mode && strcmp(mode, "off") == 0)
        return 0;
    version = syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);
    return version > 0 ? (int)version : 0;
}

/* A place that is not there needs no rule. */
static int add_rule(int ruleset, uint64_t handled, const struct file_rule *file)
{
    struct path_rule rule = { .allowed = in_numbers(file->may) & handled };
    struct stat st;
    int r;

    rule.fd = open(file->path, O_PATH | O_CLOEXEC);
    if (rule.fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
    r = fstat(rule.fd, &st);
    if (r == 0 && !S_ISDIR(st.st_mode))
        rule.allowed &= OF_A_FILE;
    if (r == 0 && rule.allowed)
        r = (int)syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
    r = r < 0 ? -errno : 0;
    (void)close(rule.fd);
    return r;
}

/* Where a container's filter forbids it, or fifteen others have been here before us, that is
 * as good as a kernel that has none. */
static int enforce(int ruleset)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) == 0)
        return 0;
    return errno == E2BIG || errno == EPERM || errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

int confine_files(const struct file_rule *rules, size_t n, unsigned flags)
{
    int version = confine_files_version();
    struct ruleset attr = { 0 };

    if (version == 0)
        return -EOPNOTSUPP;
    attr.handled_fs = known_rights(version);
    if (flags & FILES_READ_ANY)
        attr.handled_fs &= ~in_numbers(FILES_READ);
    if ((flags & FILES_ALONE) && version >= 6)
        attr.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return -errno;
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_rule(ruleset, attr.handled_fs, &rules[i]);
    if (r == 0)
        r = enforce(ruleset);
    (void)close(ruleset);
    return r;
}
