/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_programs.c - the programs that are needed, and what one of them needs of the kernel. */
#include "doctor.h"

#include "fd.h"
#include "mem.h"
#include "start.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WMEM_WANTED (2ul << 20) /* below it pasta's upload stalls at 1 ms and more of RTT */

static bool executable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* In PATH, and where daemons are but an ordinary user's PATH does not lead. */
static bool find_program(const char *name, char *ret, size_t size)
{
    char dirs[4096];
    const char *path = getenv("PATH");
    if (str_format(dirs, sizeof dirs, "%s:/usr/local/sbin:/usr/sbin:/sbin", path ? path : "") < 0)
        return false;
    char *rest = dirs;
    for (const char *dir; (dir = strsep(&rest, ":"));)
        if (dir[0] == '/' && str_format(ret, size, "%s/%s", dir, name) == 0 && executable(ret))
            return true;
    return false;
}

/* The first line of PROGRAM --version. */
static void ask_version(const char *program, char *ret, size_t size)
{
    int ends[2], status;
    ret[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    AUTO_FD reader = ends[0];
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], 1);
        (void)dup2(ends[1], 2);
        execl(program, program, "--version", (char *)NULL);
        _exit(EXIT_NO_SUCH_COMMAND);
    }
    (void)close(ends[1]);
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    FILE *in = fdopen(reader, "r");
    if (in) {
        (void)fd_take(&reader);
        ssize_t n = getline(&line, &room, in);
        if (n > 0)
            (void)snprintf(ret, size, "%.*s", (int)strcspn(line, "\n"), line);
        (void)fclose(in);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
}

/* What `--version` says, without the copyright; false when the program is not there. */
static bool describe_program(const char *name, char *ret, size_t size)
{
    char path[PATH_MAX], version[128];
    if (!find_program(name, path, sizeof path))
        return false;
    ask_version(path, version, sizeof version);
    char *more = strstr(version, "  ");
    if (more)
        *more = '\0';
    (void)snprintf(ret, size, "%.100s (%.80s)", path, version[0] ? version : "version unknown");
    return true;
}

void doctor_broker_program(struct exam *e)
{
    char path[PATH_MAX] = "", full[PATH_MAX];
    start_find_program(path, sizeof path);
    bool there = strchr(path, '/') ? executable(path) : find_program(path, full, sizeof full);
    if (there) {
        doctor_found(e, FINE, "%.200s", strchr(path, '/') ? path : full);
        return;
    }
    doctor_found(e, MISSING, "the program vmnet-broker is not found");
    doctor_remedy(e, "install it beside vmnet-brokerctl, or set VMNET_BROKER_PROGRAM");
}

void doctor_dnsmasq(struct exam *e)
{
    char text[200];
    if (describe_program("dnsmasq", text, sizeof text)) {
        doctor_found(e, FINE, "%s", text);
        return;
    }
    doctor_found(e, MISSING, "dnsmasq is not installed; VMs get addresses and names from it");
    doctor_remedy(e,
                  "as root: apt install dnsmasq-base (the package dnsmasq would start a service)");
}

/* One is enough. */
void doctor_engine(struct exam *e)
{
    char pasta[120] = "", slirp[120] = "";
    bool have_pasta = describe_program("pasta", pasta, sizeof pasta);
    bool have_slirp = describe_program("slirp4netns", slirp, sizeof slirp);
    if (have_pasta || have_slirp) {
        doctor_found(e, FINE, "%.120s%s%.120s", pasta, have_pasta && have_slirp ? ", " : "", slirp);
        return;
    }
    doctor_found(e, MISSING, "neither pasta nor slirp4netns is installed; VMs have no way out");
    doctor_remedy(e, "as root: apt install passt, or apt install slirp4netns");
}

void doctor_wmem(struct exam *e)
{
    char path[PATH_MAX];
    long wmem = doctor_knob("/proc/sys/net/core/wmem_max");
    if (wmem < 0) /* not shown in a namespace */
        doctor_found(e, FINE, "net.core.wmem_max cannot be seen from here");
    else if ((unsigned long)wmem >= WMEM_WANTED)
        doctor_found(e, FINE, "net.core.wmem_max is %ld, enough for pasta", wmem);
    else if (find_program("slirp4netns", path, sizeof path))
        doctor_found(e, FINE, "net.core.wmem_max is %ld, too little for pasta: slirp4netns is used",
                     wmem);
    else {
        doctor_found(e, WARNING, "net.core.wmem_max is %ld: uploads through pasta will be slow",
                     wmem);
        doctor_remedy(e, "as root: apt install slirp4netns, or sysctl -w net.core.wmem_max=%lu",
                      WMEM_WANTED);
    }
}
