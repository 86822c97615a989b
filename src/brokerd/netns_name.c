/* SPDX-License-Identifier: Apache-2.0 */
/* netns_name.c - see netns_name.h. */
#include "netns_name.h"

#include "fd.h"
#include "log.h"
#include "mem.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define DIRECTORY "/run/netns"
#define NAME      DIRECTORY "/vmnet-broker"

static const struct call_rule our_calls[] = { CALL("pidfd_open"), CALL("readlink"),
                                              CALL("readlinkat"), CALL("unlink"),
                                              CALL("unlinkat"),   CALLS_END };

static int confine(const struct user_shoes *user)
{
    static const int of_root[] = { CAP_DAC_OVERRIDE };
    static const struct file_rule files[] = { { DIRECTORY, FILES_MAKE } };
    static const struct call_rule *const lists[] = { calls_c_library, our_calls };
    struct user_shoes shoes = *user;

    shoes.capabilities = of_root;
    shoes.n_capabilities = N_ELEMENTS(of_root);
    int r = confine_to_user(&shoes);
    if (r == 0)
        r = confine_to_capabilities(of_root, N_ELEMENTS(of_root));
    if (r == 0)
        r = confine_files(files, N_ELEMENTS(files), FILES_ALONE);
    return r < 0 && r != -EOPNOTSUPP ? r : confine_to(lists, N_ELEMENTS(lists));
}

/* false: the link is not ours to remove any more. */
static bool outlive(int fd, int watch)
{
    struct pollfd on[] = { { .fd = fd, .events = POLLIN }, { .fd = watch, .events = POLLIN } };

    while (on[0].revents == 0 && on[1].revents == 0)
        if (poll(on, N_ELEMENTS(on), -1) < 0 && errno != EINTR)
            return false;
    return on[1].revents == 0;
}

/* Whom the second link names, or -1. */
static int open_anchor(const char *target)
{
    char text[64] = "";
    int pid = 0;

    if (readlink(target, text, sizeof text - 1) < 0 || sscanf(text, "/proc/%d/", &pid) != 1)
        return -1;
    return pidfd_open(pid, 0);
}

/* An anchor that dies alone is replaced by netd, so one after the other. */
static bool outlive_anchors(const char *target, int watch)
{
    for (;;) {
        AUTO_FD anchor = open_anchor(target);

        if (anchor < 0 || !outlive(anchor, watch))
            return anchor < 0;
    }
}

/* By its inode: whoever makes the link anew takes it over from us. */
static int watch_link(void)
{
    AUTO_FD watch = inotify_init1(IN_CLOEXEC);

    if (watch < 0 || inotify_add_watch(watch, NAME, IN_DELETE_SELF | IN_DONT_FOLLOW) < 0)
        return -errno;
    return fd_take(&watch);
}

static _Noreturn void remover_main(const char *target, const struct user_shoes *user, int leash)
{
    int watch = watch_link();

    (void)prctl(PR_SET_NAME, "vmnet-netns");
    (void)setsid(); /* a terminal's ^C is for others */
    (void)!chdir("/");
    signals_default();
    int r = watch < 0 ? watch : confine(user);
    if (r < 0)
        (void)log_failure(r, "what removes " NAME " at the end cannot begin");
    else if (outlive(leash, watch) && outlive_anchors(target, watch))
        (void)unlink(NAME);
    _exit(r < 0);
}

/* Of the broker's nothing may live on here. */
static int keep_only(int leash)
{
    enum { LEASH = 3 };

    (void)dup3(leash, LEASH, O_CLOEXEC);
    (void)close_range(LEASH + 1, ~0U, 0);
    return LEASH;
}

/* Also in the place of one that an earlier broker has left, or whose end somebody still awaits. */
static int make_link(const char *target)
{
    char theirs[PATH_MAX] = "";

    (void)mkdir(DIRECTORY, 0755);
    if (readlink(NAME, theirs, sizeof theirs - 1) >= 0 && strcmp(theirs, target) == 0)
        (void)unlink(NAME);
    return symlink(target, NAME) < 0 ? -errno : 0;
}

void netns_name(const char *target, const struct user_shoes *user, int leash)
{
    int r = make_link(target);

    if (r == 0) {
        pid_t pid = fork();
        if (pid == 0)
            remover_main(target, user, keep_only(leash));
        r = pid < 0 ? -errno : 0;
        if (r < 0)
            (void)unlink(NAME);
    }
    if (r < 0)
        log_warning("'ip netns' will not know our namespace: " NAME ": %s", strerror(-r));
}
