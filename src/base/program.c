/* SPDX-License-Identifier: Apache-2.0 */
/* program.c - see program.h. posix_spawn(), for it runs none of the atfork handlers of the
 * program that we may be a library of, and copies no memory. */
#include "program.h"

#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

int program_beside_us(const char *name, char *ret, size_t size)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return -errno;
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash)
        return -ENOENT;
    *slash = '\0';
    return str_format(ret, size, "%s/%s", self, name);
}

int program_of_system(const char *name, char *ret, size_t size)
{
    static const char *const dirs[] = { "/usr/sbin",
                                        "/usr/bin",
                                        "/sbin",
                                        "/bin",
                                        "/usr/local/sbin",
                                        "/usr/local/bin",
                                        "/run/current-system/sw/bin" };

    for (size_t i = 0; i < N_ELEMENTS(dirs); i++)
        if (str_format(ret, size, "%s/%s", dirs[i], name) == 0 && access(ret, X_OK) == 0)
            return 0;
    return -ENOENT;
}

static int set_up_files(posix_spawn_file_actions_t *files, int words)
{
    int r = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDWR, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(files, 0, 1);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(files, words, 2);
    return -r;
}

static int set_up_signals(posix_spawnattr_t *attr)
{
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int r = posix_spawnattr_setsigmask(attr, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attr, &all);
    if (r == 0)
        r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return -r;
}

int program_spawn(const char *program, const char *const *argv, int words, pid_t *ret)
{
    char *const *args = (char *const *)(uintptr_t)argv; /* which it does not change */
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;

    int r = -posix_spawn_file_actions_init(&files);
    if (r < 0)
        return r;
    r = -posix_spawnattr_init(&attr);
    if (r == 0) {
        r = set_up_files(&files, words);
        if (r == 0)
            r = set_up_signals(&attr);
        if (r == 0)
            r = -posix_spawnp(ret, program, &files, &attr, args, environ);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&files);
    return r;
}
