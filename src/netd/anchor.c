/* SPDX-License-Identifier: Apache-2.0 */
/* anchor.c - see anchor.h. */
#include "anchor.h"

#include "confine.h"
#include "fd.h"
#include "mem.h"
#include "signals.h"
#include "str.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static int write_text(const char *path, const char *text)
{
    AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* One id, ours. Groups must be given up before an ordinary user may map one. */
static int map_ids(uid_t uid, gid_t gid)
{
    char map[64];
    int r;

    r = write_text("/proc/self/setgroups", "deny");
    if (r < 0)
        return r;
    (void)str_format(map, sizeof map, "%u %u 1", uid == 0 ? 1 : uid, uid);
    r = write_text("/proc/self/uid_map", map);
    if (r < 0)
        return r;
    (void)str_format(map, sizeof map, "%u %u 1", gid == 0 ? 1 : gid, gid);
    return write_text("/proc/self/gid_map", map);
}

/* Standard descriptors become /dev/null, this one 3, and everything else closes. */
static void keep_only(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int std = 0; std < 3; std++)
        (void)dup2(null, std);
    if (fd != 3)
        (void)dup2(fd, 3);
    (void)close_range(4, ~0U, 0);
}

/* The word to stay, and then nothing. */
const struct call_rule anchor_calls[] = { CALL("close"),
                                          CALL("exit"),
                                          CALL("exit_group"),
                                          CALL("pause"),
                                          CALL("ppoll"), /* pause(), where there is none */
                                          CALL("ppoll_time64"),
                                          CALL("read"),
                                          CALL("restart_syscall"),
                                          CALL("rt_sigreturn"),
                                          CALL("send"),
                                          CALL("sendto"),
                                          CALLS_END };

/* Who made the namespaces has every capability over them, until now. Others enter by
 * right of being the same user. */
static int confine_anchor(void)
{
    const struct call_rule *const lists[] = { anchor_calls };
    int r = confine_without_capabilities();

    return r < 0 ? r : confine_to(lists, N_ELEMENTS(lists));
}

/* Holds the namespaces open for whoever enters through /proc/PID/ns, which only a dumpable
 * process lets them. */
static int settle(int leash)
{
    int err = 0;

    (void)prctl(PR_SET_NAME, "vmnet-anchor");
    (void)prctl(PR_SET_DUMPABLE, 1);
    if (chdir("/") < 0)
        err = -errno;
    keep_only(leash);
    return err < 0 ? err : confine_anchor();
}

/* By netd, who is outside; then we are the other of the two. */
static int be_mapped(int leash, const struct uplink_user *uplink)
{
    int32_t made = 0;
    char word;

    if (send(leash, &made, sizeof made, MSG_NOSIGNAL) != sizeof made || read(leash, &word, 1) != 1)
        return -EPIPE;
    return uplink_user_become(uplink);
}

/* leash: gets 0 or an errno once the namespaces are there, and gives the word to stay. With an
 * uplink user it gets the same, and gives another word, beforehand: to be mapped. */
static _Noreturn void anchor_main(int leash, const struct uplink_user *uplink)
{
    uid_t uid = getuid();
    gid_t gid = getgid();
    int32_t err = 0;
    char word;

    signals_default(); /* one of them ends it, whatever netd blocks or ignores */
    if (setsid() < 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        err = errno;
    else
        err = uplink ? -be_mapped(leash, uplink) : -map_ids(uid, gid);
    if (err == 0)
        err = -settle(leash);
    else
        keep_only(leash);
    if (send(3, &err, sizeof err, MSG_NOSIGNAL) != sizeof err || err || read(3, &word, 1) != 1)
        _exit(1);
    (void)close(3);
    for (;;)
        pause();
}

_Noreturn void anchor_stay(int leash)
{
    int32_t err;

    (void)setsid();
    err = settle(leash);
    if (send(3, &err, sizeof err, MSG_NOSIGNAL) != sizeof err || err)
        _exit(1);
    (void)close(3);
    for (;;)
        pause();
}

/* What it has to say: 0 or a negative errno. */
static int hear(int leash)
{
    int32_t err;

    return read(leash, &err, sizeof err) == sizeof err ? -err : -ECHILD;
}

static int map_both(pid_t anchor, int leash, const struct uplink_user *uplink)
{
    int r = hear(leash);

    if (r == 0)
        r = uplink_user_map(anchor, uplink);
    return r == 0 && send(leash, "", 1, MSG_NOSIGNAL) != 1 ? -ECHILD : r;
}

int anchor_start(const struct uplink_user *uplink, struct process *ret, int *ret_leash)
{
    struct process anchor = { 0 };
    AUTO_FD leash = -1;
    int ends[2], r = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    leash = ends[0];
    anchor.pid = fork();
    if (anchor.pid == 0) {
        (void)close(leash);
        anchor_main(ends[1], uplink);
    }
    if (anchor.pid < 0)
        r = -errno;
    (void)close(ends[1]);
    if (r == 0 && uplink)
        r = map_both(anchor.pid, leash, uplink);
    if (r == 0)
        r = hear(leash);
    if (r == 0)
        r = process_born(anchor.pid, &anchor.born);
    if (r < 0)
        return r; /* with the leash the anchor goes */
    *ret = anchor;
    *ret_leash = fd_take(&leash);
    return 0;
}

int anchor_release(int leash)
{
    ssize_t n = send(leash, "", 1, MSG_NOSIGNAL);

    (void)close(leash);
    return n == 1 ? 0 : -EPIPE;
}

static int open_namespace(pid_t pid, const char *which)
{
    char path[64];
    int fd;

    if (str_format(path, sizeof path, "/proc/%d/ns/%s", (int)pid, which) < 0)
        return -EINVAL;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int anchor_open(pid_t pid, int *ret_userns, int *ret_netns)
{
    AUTO_FD userns = open_namespace(pid, "user");
    AUTO_FD netns = userns < 0 ? -1 : open_namespace(pid, "net");

    if (userns < 0 || netns < 0)
        return userns < 0 ? userns : netns;
    *ret_userns = fd_take(&userns);
    *ret_netns = fd_take(&netns);
    return 0;
}

int anchor_enter_by(int userns, int netns)
{
    /* In this order: owning the user namespace is what opens the other. */
    return setns(userns, CLONE_NEWUSER) < 0 || setns(netns, CLONE_NEWNET) < 0 ? -errno : 0;
}

int anchor_enter(pid_t pid)
{
    AUTO_FD userns = -1, netns = -1;
    int r = anchor_open(pid, &userns, &netns);

    return r < 0 ? r : anchor_enter_by(userns, netns);
}

void anchor_end(const struct process *anchor)
{
    AUTO_FD fd = pidfd_open(anchor->pid, 0);
    struct pollfd on = { .fd = fd, .events = POLLIN };

    /* Through a pidfd, so that the check and the signal mean the same process. */
    if (fd < 0 || !process_alive(anchor))
        return;
    (void)pidfd_send_signal(fd, SIGKILL, NULL, 0);
    (void)poll(&on, 1, 500); /* it is gone when we say that all is */
}
