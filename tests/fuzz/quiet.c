/* SPDX-License-Identifier: Apache-2.0 */
/* quiet.c - stands between the parsers and the system (the linker's --wrap, meson.build).
 *
 * Log lines are made, because what a stranger sends is part of them, looked at, and not
 * written. Files are what the fuzzer says.
 */
#include "file.h"
#include "fuzz.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_file_read(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len);

/* A line is one line, whoever's bytes are in it. */
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    const unsigned char *text = data;

    if (fd != STDERR_FILENO)
        return __real_write(fd, data, len);
    MUST(len > 0 && text[len - 1] == '\n');
    for (size_t i = 0; i + 1 < len; i++)
        MUST(text[i] >= ' ' && text[i] != 0x7f);
    return (ssize_t)len;
}

__attribute__((constructor)) static void log_everything(void)
{
    log_init("fuzz", LOG_LEVEL_DEBUG);
}

static struct {
    const uint8_t *data;
    size_t size;
} file;

void fuzz_set_file(const uint8_t *data, size_t size)
{
    file.data = data;
    file.size = size;
}

int __wrap_file_read(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len)
{
    char *text;

    (void)dirfd;
    (void)name;
    if (file.size > max)
        return -EFBIG;
    text = malloc(file.size + 1); /* so that a sanitizer sees every step beyond it */
    if (!text)
        return -ENOMEM;
    if (file.size > 0)
        memcpy(text, file.data, file.size);
    text[file.size] = '\0';
    *ret = text;
    if (ret_len)
        *ret_len = file.size;
    return 0;
}

unsigned fuzz_open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    MUST(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}
