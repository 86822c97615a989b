/* SPDX-License-Identifier: Apache-2.0 */
/* orphans.c - see orphans.h. */
#include "orphans.h"

#include "fd.h"
#include "holders.h"
#include "log.h"
#include "mem.h"
#include "names.h"
#include "spawner.h"
#include "str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ORPHANS_MAX 300u /* two for each network, and the others */
#define ARGS_SIZE   8192

struct args {
    char text[ARGS_SIZE]; /* each ends with NUL */
    size_t len;
};

struct sweep {
    const char *directory;
    uint64_t born;
    uid_t uplink;
    struct args own; /* our processes that are no programs are called as we are */
    struct process found[ORPHANS_MAX];
    size_t n;
    pid_t anchor; /* one of them; 0: none */
};

/* ---- what is called how ---------------------------------------------------------- */

static void read_args(const char *pid, struct args *ret)
{
    char path[64];

    ret->len = 0;
    if (str_format(path, sizeof path, "/proc/%s/cmdline", pid) < 0)
        return;
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret->text, sizeof ret->text - 1);
    ret->len = n > 0 ? (size_t)n : 0;
    ret->text[ret->len] = '\0';
}

static bool has_arg(const struct args *args, const char *beginning)
{
    for (size_t i = 0; i < args->len; i += strlen(args->text + i) + 1)
        if (strncmp(args->text + i, beginning, strlen(beginning)) == 0)
            return true;
    return false;
}

/* Where our arguments say of which state directory, as they do when a broker or a system starts us:
 * else it may be another netd's. */
static bool is_fork_of_netd(const char *name, const struct args *args, const struct args *own)
{
    static const char *const names[] = { "vmnet-anchor", "vmnet-relay", "vmnet-forwarder",
                                         "vmnet-spawner", "vmnet-hostside" };

    if (!has_arg(own, "--state-dir") && !has_arg(own, "--system"))
        return false;
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        if (strcmp(name, names[i]) == 0)
            return args->len == own->len && memcmp(args->text, own->text, own->len) == 0;
    return false;
}

static bool is_dnsmasq_of(const char *directory, const struct args *args)
{
    char wanted[ARGS_SIZE];

    return str_format(wanted, sizeof wanted, "--conf-file=%s/", directory) == 0 &&
           has_arg(args, wanted);
}

static bool is_engine_of(pid_t anchor, const struct args *args)
{
    char wanted[40];

    return anchor != 0 && str_format(wanted, sizeof wanted, "/proc/%d/ns/net", (int)anchor) == 0 &&
           has_arg(args, wanted);
}

/* ---- whose it is ----------------------------------------------------------------- */

/* Of our users, and no container's: what is called as we are may be the netd of one, with the same
 * number of a user, and no orphan of ours. Only in the process namespace of this /proc has a
 * process one number. */
static bool is_of_this_system(const char *status, uid_t uplink)
{
    const char *uid = strstr(status, "\nUid:"), *pids = strstr(status, "\nNSpid:");
    unsigned real;
    int inner;

    if (!uid || sscanf(uid, "\nUid: %u", &real) != 1 ||
        (real != getuid() && (uplink == 0 || real != uplink)))
        return false;
    return !pids || sscanf(pids, "\nNSpid: %*d %d", &inner) != 1;
}

static bool may_be_orphan(pid_t pid, uid_t uplink)
{
    char path[64], status[4096];

    (void)str_format(path, sizeof path, "/proc/%d/status", (int)pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, status, sizeof status - 1);
    if (n <= 0)
        return false;
    status[n] = '\0';
    return is_of_this_system(status, uplink);
}

/* ---- finding them ---------------------------------------------------------------- */

static void look(struct sweep *s, pid_t pid, const char *name)
{
    struct process process = { .pid = pid };
    struct args args;
    char text[16];

    (void)str_format(text, sizeof text, "%d", (int)pid);
    if (process_born(pid, &process.born) < 0 || process.born >= s->born || s->n == ORPHANS_MAX)
        return;
    if (!may_be_orphan(pid, s->uplink))
        return;
    read_args(text, &args);
    if (!is_fork_of_netd(name, &args, &s->own) && !is_dnsmasq_of(s->directory, &args) &&
        !is_engine_of(s->anchor, &args))
        return;
    if (strcmp(name, "vmnet-anchor") == 0)
        s->anchor = pid;
    s->found[s->n++] = process;
}

static void read_name(const char *pid, char *ret, size_t size)
{
    char path[64];

    ret[0] = '\0';
    if (str_format(path, sizeof path, "/proc/%s/comm", pid) < 0)
        return;
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);
    ret[n > 0 ? n : 0] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
}

/* Engines after all others, since an anchor's number is how they are known. */
static void find(struct sweep *s, bool engines)
{
    DIR *proc = opendir("/proc");
    unsigned long pid;
    char name[32];

    for (struct dirent *e; proc && (e = readdir(proc));) {
        if (str_to_uint(e->d_name, 1, INT32_MAX, &pid) < 0)
            continue;
        read_name(e->d_name, name, sizeof name);
        bool other = strncmp(name, "vmnet-", 6) != 0 && strcmp(name, "dnsmasq") != 0;
        if (other == engines)
            look(s, (pid_t)pid, name);
    }
    if (proc)
        (void)closedir(proc);
}

/* ---- may they go? ---------------------------------------------------------------- */

/* A TAP is there as long as somebody has it open; but one that is opened by name stays, where no
 * netd removes it. */
static bool is_used_tap(const char *line)
{
    unsigned index, k;
    char end;

    if (sscanf(line, " vt%u.%u%c", &index, &k, &end) != 3)
        return false;
    return end != 'n' || holders_find(index, tap_bit(k)) > 0;
}

static bool sees_tap(pid_t pid)
{
    AUTO_FREE char *line = NULL;
    size_t size = 0;
    char path[64];
    bool found = false;

    (void)str_format(path, sizeof path, "/proc/%d/net/dev", (int)pid);
    FILE *in = fopen(path, "re");
    while (!found && in && getline(&line, &size, in) > 0)
        found = is_used_tap(line);
    if (in)
        (void)fclose(in);
    return found;
}

bool orphans_sweep(const char *directory, uint64_t born, uid_t uplink)
{
    AUTO_FREE struct sweep *s = calloc(1, sizeof *s);

    if (!s)
        return false;
    s->directory = directory;
    s->born = born;
    s->uplink = uplink;
    read_args("self", &s->own);
    find(s, false);
    for (size_t i = 0; i < s->n; i++)
        if (sees_tap(s->found[i].pid))
            return true;
    find(s, true);
    for (size_t i = 0; i < s->n; i++)
        child_end(&s->found[i]);
    if (s->n > 0)
        log_warning("ended %zu processes of an earlier vmnet-netd, whose journal was lost", s->n);
    return false;
}
