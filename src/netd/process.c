/* SPDX-License-Identifier: Apache-2.0 */
/* process.c - see process.h. */
#include "process.h"

#include "fd.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct stat_line {
    char state;
    uint64_t in_user, in_kernel, born; /* in ticks */
};

/* The text behind the command name, which may itself contain anything. Its first
 * word is field 3, the state. */
static int read_stat(pid_t pid, struct stat_line *ret)
{
    AUTO_FREE char *text = NULL;
    char path[32];
    const char *rest;
    AUTO_FD fd = -1;
    ssize_t got;

    *ret = (struct stat_line){ 0 };
    text = malloc(1024);
    if (!text)
        return -ENOMEM;
    if (str_format(path, sizeof path, "/proc/%d/stat", (int)pid) < 0)
        return -EINVAL;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    got = read(fd, text, 1023);
    if (got <= 0)
        return -ESRCH;
    text[got] = '\0';
    rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1,
                        " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64
                        " %*s %*s %*s %*s %*s %*s %" SCNu64,
                        &ret->state, &ret->in_user, &ret->in_kernel, &ret->born) != 4)
        return -ESRCH;
    return 0;
}

int process_born(pid_t pid, uint64_t *ret)
{
    struct stat_line line;
    int r = read_stat(pid, &line);

    if (r == 0)
        *ret = line.born;
    return r;
}

int process_ticks(pid_t pid, uint64_t *ret)
{
    struct stat_line line;
    int r = read_stat(pid, &line);

    if (r == 0)
        *ret = line.in_user + line.in_kernel;
    return r;
}

int process_look(const struct process *process)
{
    struct stat_line line;
    int r = process->pid > 0 ? read_stat(process->pid, &line) : -ESRCH;

    if (r == 0)
        return line.born == process->born && line.state != 'Z' && line.state != 'X';
    return r == -ESRCH ? 0 : r;
}

bool process_alive(const struct process *process)
{
    return process_look(process) > 0;
}

/* Under a debugger it is 't', and nobody's business but that one's. */
bool process_stopped(const struct process *process)
{
    struct stat_line line;

    return process->pid > 0 && read_stat(process->pid, &line) == 0 && line.born == process->born &&
           line.state == 'T';
}
