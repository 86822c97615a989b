/* SPDX-License-Identifier: Apache-2.0 */
#include "crowd.h"
#include "client.h"
#include "measure.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TALKERS 400
#define USING   250
#define OWN     25

static void may_have_many_files(void)
{
    const struct rlimit files = { CROWD_SIZE + 64, CROWD_SIZE + 64 };
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        give_up("cannot have %u open files", CROWD_SIZE + 64);
}

static _Noreturn void be_silent(const char *path, int there)
{
    for (size_t i = 0; i < CROWD_SIZE; i++)
        (void)client_connect(path);
    close(there);
    for (;;)
        pause();
}

static _Noreturn void knock(const char *path, int there)
{
    close(there);
    for (;;)
        close(client_connect(path));
}

/* Keeps every connection's requests coming, and reads no faster than need be. */
static _Noreturn void talk(const char *path, int there)
{
    static const char request[] = ACQUIRE("host");
    static char buf[65536];
    int socks[TALKERS];

    for (size_t i = 0; i < TALKERS; i++)
        socks[i] = client_connect(path);
    close(there);
    for (;;) {
        for (size_t i = 0; i < TALKERS; i++) {
            for (size_t k = 0; k < 16; k++)
                (void)send(socks[i], request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL);
            while (recv(socks[i], buf, sizeof buf, MSG_DONTWAIT) == sizeof buf)
                continue;
        }
    }
}

static _Noreturn void use(const char *path, int there)
{
    static char buf[65536];
    char request[200];
    int socks[USING];

    for (unsigned i = 0; i < USING; i++) {
        socks[i] = client_connect(path);
        (void)client_must(socks[i], ACQUIRE("host"), buf, sizeof buf, NULL);
    }
    for (unsigned i = 0; i < OWN; i++) {
        (void)snprintf(request, sizeof request, ACQUIRE("net%u"), geteuid() % 10 * OWN + i);
        (void)client_must(socks[i], request, buf, sizeof buf, NULL);
    }
    close(there);
    for (;;)
        pause();
}

int crowd_start(const char *path, enum crowd what, uid_t uid)
{
    int there[2];
    char c;
    if (pipe(there) < 0)
        give_up("no pipe");
    int pid = fork();
    if (pid == 0) {
        close(there[0]);
        may_have_many_files();
        if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
            give_up("cannot be user %u: %s", (unsigned)uid, strerror(errno));
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* only now: another user forgets it */
        if (what == CROWD_SILENT)
            be_silent(path, there[1]);
        else if (what == CROWD_KNOCKING)
            knock(path, there[1]);
        else if (what == CROWD_USING)
            use(path, there[1]);
        else
            talk(path, there[1]);
    }
    close(there[1]);
    (void)!read(there[0], &c, 1);
    close(there[0]);
    return pid;
}

void crowd_end(int pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}
