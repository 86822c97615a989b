/* SPDX-License-Identifier: Apache-2.0 */
#include "behaviour.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_A_BEHAVIOUR 60 /* against waiting for ever; most need less than one */

void behaviour_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: expected %s\n", file, line, what);
    _exit(1);
}

void behaviour_own_service(const char *name)
{
    char entry[256];
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s/%s.sock", getenv("SIM_DIR"), name);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    EXPECT(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 64) == 0);
    (void)snprintf(entry, sizeof entry, "%s=%d", name, fd);
    (void)setenv("SIM_MACH_SERVICES", entry, 1);
}

static void remove_tree(const char *dir)
{
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0)
        fprintf(stderr, "%s: could not be removed\n", dir);
}

static void child(const struct behaviour *b, const char *dir, int out)
{
    (void)setenv("SIM_DIR", dir, 1);
    (void)dup2(out, STDERR_FILENO);
    (void)alarm(SECONDS_A_BEHAVIOUR);
    b->run();
    exit(0); /* with the sanitizers' last look */
}

static bool passed(const struct behaviour *b, int status, const char *said)
{
    if (!b->says)
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, b->says);
}

static bool run_one(const struct behaviour *b, int number)
{
    char dir[] = "/tmp/macos-sim.XXXXXX", said[16384] = "", out_path[64];
    EXPECT(mkdtemp(dir));
    (void)snprintf(out_path, sizeof out_path, "%s/stderr", dir);
    int out = open(out_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        child(b, dir, out);
    int status = 0;
    EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid);
    ssize_t n = pread(out, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(out);
    remove_tree(dir);
    bool ok = passed(b, status, said);
    printf("%s %d - %s\n", ok ? "ok" : "not ok", number, b->title);
    if (!ok)
        printf("# wait status 0x%x, said: %s\n", (unsigned)status, said);
    return ok;
}

int behaviours_run(const struct behaviour *list, int n)
{
    int failed = 0;
    printf("1..%d\n", n);
    for (int i = 0; i < n; i++)
        failed += !run_one(&list[i], i + 1);
    return failed > 0;
}
