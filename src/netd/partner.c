/* SPDX-License-Identifier: Apache-2.0 */
/* partner.c - see partner.h. */
#include "partner.h"

#include "anchor.h"
#include "fd.h"
#include "log.h"
#include "packet.h"
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int partner_init(struct partner *partner, const char *what, int sock, pid_t pid)
{
    uint64_t born = 0;
    int r;

    *partner = (struct partner){ .what = what, .sock = sock, .child.pidfd = -1 };
    r = process_born(pid, &born);
    if (r == 0)
        r = child_adopt(pid, born, &partner->child);
    return r < 0 ? r : packet_set_patience(sock);
}

int partner_hear(const struct partner *partner, void *data, size_t len, int *fds, size_t *ret_n)
{
    int r = packet_receive(partner->sock, data, len, fds, ret_n);

    if (r != -EAGAIN)
        return r;
    log_error("%s: process %d does not answer; killing it", partner->what, (int)partner->child.pid);
    (void)child_signal(&partner->child, SIGKILL);
    return -ETIMEDOUT;
}

void partner_end(struct partner *partner)
{
    fd_closep(&partner->sock);
    (void)child_signal(&partner->child, SIGCONT); /* or a stopped one would not notice */
    if (partner->child.pid > 0)
        (void)waitpid(partner->child.pid, NULL, 0);
    child_forget(&partner->child);
}

void partner_begin(const char *name)
{
    (void)prctl(PR_SET_NAME, name);
    (void)prctl(PR_SET_PDEATHSIG, SIGCONT); /* a stopped one would not notice that netd has died */
    (void)setsid();                         /* a terminal's ^C is for others */
    (void)!chdir("/");
    signals_default();
}
