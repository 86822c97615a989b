/* SPDX-License-Identifier: Apache-2.0 */
/* uplink_user.c - see uplink_user.h. */
#include "uplink_user.h"

#include "anchor.h"
#include "confine.h"
#include "fd.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define UPLINK_USER_NAME "vmnet-uplink"

static int find(struct uplink_user *ret)
{
    errno = 0;
    const struct passwd *user = getpwnam(UPLINK_USER_NAME);

    if (!user)
        return errno ? -errno : -ENOENT;
    if (user->pw_uid == 0 || user->pw_gid == 0 || user->pw_uid == getuid() ||
        user->pw_gid == getgid())
        return -EINVAL;
    *ret = (struct uplink_user){ user->pw_uid, user->pw_gid };
    return 0;
}

/* ---- the maps ---------------------------------------------------------------------- */

static int map(pid_t pid, const char *which, unsigned ours, unsigned other)
{
    char path[40], text[80];

    (void)str_format(path, sizeof path, "/proc/%d/%s", (int)pid, which);
    (void)str_format(text, sizeof text, "%u %u 1\n%u %u 1\n", ours, ours, other, other);
    AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int uplink_user_map(pid_t pid, const struct uplink_user *user)
{
    int r = map(pid, "gid_map", getgid(), user->gid);

    return r < 0 ? r : map(pid, "uid_map", getuid(), user->uid);
}

/* 0: nobody; and where a map is none of ours. */
static unsigned mapped_beside(pid_t pid, const char *which, unsigned ours)
{
    unsigned inside[2], outside[2], n[2];
    char path[40], text[256];

    (void)str_format(path, sizeof path, "/proc/%d/%s", (int)pid, which);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[got > 0 ? got : 0] = '\0';
    if (sscanf(text, " %u %u %u %u %u %u", &inside[0], &outside[0], &n[0], &inside[1], &outside[1],
               &n[1]) != 6 ||
        n[0] != 1 || n[1] != 1)
        return 0;
    if (outside[0] != ours && outside[1] != ours)
        return 0;
    return outside[0] == ours ? outside[1] : outside[0];
}

void uplink_user_of(pid_t pid, struct uplink_user *ret)
{
    *ret = (struct uplink_user){ mapped_beside(pid, "uid_map", getuid()),
                                 mapped_beside(pid, "gid_map", getgid()) };
    if (ret->gid == 0)
        ret->uid = 0;
}

/* ---- an anchor with both ----------------------------------------------------------- */

static const char *why_no_uplink_user(int err)
{
    switch (err) {
    case -ENOENT:
        return "is not there (systemd-sysusers makes it, or useradd --system "
               "--user-group " UPLINK_USER_NAME ")";
    case -EINVAL:
        return "must be a user of its own, with a group of its own";
    case -EPERM:
        return "can only be mapped with CAP_SETUID and CAP_SETGID, which this version's unit has";
    default:
        return strerror(-err);
    }
}

int uplink_user_anchor(struct process *ret, int *ret_leash)
{
    struct uplink_user user;
    int r = find(&user);

    if (r == 0)
        r = anchor_start(&user, ret, ret_leash);
    if (r == 0)
        return 0;
    log_warning("pasta will be the same user as we are: the user " UPLINK_USER_NAME " %s",
                why_no_uplink_user(r));
    return anchor_start(NULL, ret, ret_leash);
}

void uplink_user_miss(void)
{
    log_warning("pasta is the same user as we are, since the namespaces are an earlier "
                "vmnet-netd's: those after the last network are for " UPLINK_USER_NAME);
}

/* ---- becoming it ------------------------------------------------------------------- */

static int become(const struct uplink_user *user, const int *capabilities, size_t n)
{
    return confine_to_user(&(struct user_shoes){
        .uid = user->uid, .gid = user->gid, .capabilities = capabilities, .n_capabilities = n });
}

int uplink_user_become(const struct uplink_user *user)
{
    return become(user, NULL, 0);
}

int uplink_user_become_engine(const struct uplink_user *user)
{
    /* SYS_ADMIN: it enters the network namespace, and empties its file system. NET_ADMIN: it
     * attaches to the TAP, which it gives up then. */
    static const int capabilities[] = { CAP_NET_ADMIN, CAP_SYS_ADMIN };

    return become(user, capabilities, N_ELEMENTS(capabilities));
}
