/* SPDX-License-Identifier: Apache-2.0 */
/* port_owner.c - see port_owner.h. It is asked only when something has failed, and looks at
 * so many sockets, processes and descriptors and no more: its words are not worth a wait. */
#include "port_owner.h"

#include "accounts.h"
#include "fd.h"
#include "file.h"
#include "mem.h"
#include "str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SOCKETS_MAX 20000u /* 10 ms */
#define LINKS_MAX   20000u /* 20 ms */

#define TCP_LISTEN 0x0A

/* ---- which socket ---------------------------------------------------------------- */

static int read_table(const char *path, bool udp, uint16_t port, uid_t *uid, unsigned long *inode)
{
    FILE *table = fopen(path, "re");
    char line[256];
    int r = -ENOENT;

    for (unsigned n = 0; table && r < 0 && n < SOCKETS_MAX && fgets(line, sizeof line, table);
         n++) {
        unsigned local, state, owner;

        /* "  0: 0100007F:0035 00000000:0000 0A ... uid timeout inode" */
        if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*x:%*x %*x:%*x %*x %u %*u %lu",
                   &local, &state, &owner, inode) != 4)
            continue;
        if (local == port && (udp || state == TCP_LISTEN)) {
            *uid = (uid_t)owner;
            r = 0;
        }
    }
    if (table)
        (void)fclose(table);
    return r;
}

/* ---- which process ----------------------------------------------------------------- */

static bool is_number(const char *name)
{
    return name[0] && name[strspn(name, "0123456789")] == '\0';
}

/* Has this process the socket among its descriptors? links: how many more may be read. */
static bool has_socket(int proc, const char *pid, const char *socket, unsigned *links)
{
    char path[64], link[64];
    int fd = str_format(path, sizeof path, "%.20s/fd", pid) == 0
                 ? openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                 : -1;
    DIR *fds = fd < 0 ? NULL : fdopendir(fd);
    bool found = false;

    if (!fds) {
        fd_closep(&fd);
        return false;
    }
    for (struct dirent *e; !found && *links > 0 && (e = readdir(fds)); --*links) {
        ssize_t n = readlinkat(fd, e->d_name, link, sizeof link - 1);
        if (n < 0)
            continue;
        link[n] = '\0';
        found = strcmp(link, socket) == 0;
    }
    (void)closedir(fds);
    return found;
}

static void read_command(int proc, const char *pid, struct port_owner *ret)
{
    AUTO_FREE char *text = NULL;
    char path[64];

    if (str_format(path, sizeof path, "%.20s/comm", pid) < 0 ||
        file_read(proc, path, 64, &text, NULL) < 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    for (char *c = text; *c; c++) /* what it calls itself may be anything */
        if (*c < ' ' || *c > '~')
            *c = '?';
    (void)str_format(ret->command, sizeof ret->command, "%.16s", text);
}

static void find_process(unsigned long inode, struct port_owner *ret)
{
    unsigned links = LINKS_MAX;
    char socket[48];
    DIR *proc = opendir("/proc");
    struct stat st;

    (void)str_format(socket, sizeof socket, "socket:[%lu]", inode);
    for (struct dirent *e; proc && ret->pid == 0 && links > 0 && (e = readdir(proc));) {
        if (!is_number(e->d_name) || fstatat(dirfd(proc), e->d_name, &st, 0) < 0 ||
            st.st_uid != ret->uid || !has_socket(dirfd(proc), e->d_name, socket, &links))
            continue;
        ret->pid = (pid_t)strtol(e->d_name, NULL, 10);
        read_command(dirfd(proc), e->d_name, ret);
    }
    if (proc)
        (void)closedir(proc);
}

int port_owner_find(bool udp, uint16_t port, struct port_owner *ret)
{
    struct port_owner owner = { 0 };
    unsigned long inode = 0;
    int r = read_table(udp ? "/proc/self/net/udp" : "/proc/self/net/tcp", udp, port, &owner.uid,
                       &inode);

    if (r < 0)
        r = read_table(udp ? "/proc/self/net/udp6" : "/proc/self/net/tcp6", udp, port, &owner.uid,
                       &inode);
    if (r < 0)
        return r;
    find_process(inode, &owner);
    *ret = owner;
    return 0;
}

const char *port_owner_words(const struct port_owner *owner, char ret[static PORT_OWNER_TEXT])
{
    char user[ACCOUNT_NAME_SIZE];

    (void)account_user_name(owner->uid, user);
    if (owner->pid != 0)
        (void)str_format(ret, PORT_OWNER_TEXT, "process %d (%s) of user '%s'", (int)owner->pid,
                         owner->command, user);
    else
        (void)str_format(ret, PORT_OWNER_TEXT, "a process of user '%s'", user);
    return ret;
}
