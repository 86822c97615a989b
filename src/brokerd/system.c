/* SPDX-License-Identifier: Apache-2.0 */
/* system.c - see system.h. */
#include "system.h"

#include "activator.h"
#include "fd.h"
#include "log.h"
#include "mem.h"
#include "netd_starter.h"
#include "netns_name.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int find_account(const char *name, struct account *ret, struct failure *failure)
{
    const struct passwd *user = getpwnam(name);

    if (!user)
        return failure_set(failure, -ENOENT,
                           "there is no user %s: systemd-sysusers makes the users that a system "
                           "instance needs, or useradd --system %s",
                           name, name);
    if (user->pw_uid == 0)
        return failure_set(failure, -EINVAL, "the user %s must not be root by another name", name);
    *ret = (struct account){ user->pw_uid, user->pw_gid };
    return 0;
}

/* ---- directories ------------------------------------------------------------------- */

/* Opens it, making it if need be. Root gives away nothing that somebody else has put there. */
static int open_directory(const char *path, const struct account *owner, mode_t mode)
{
    struct stat st;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid != 0 && st.st_uid != owner->uid)
        return -EPERM;
    if (fchown(fd, 0, 0) < 0 || fchmod(fd, mode) < 0)
        return -errno;
    return fd_take(&fd);
}

static int make_directory(const char *path, const struct account *owner, mode_t mode,
                          struct failure *failure)
{
    AUTO_FD fd = open_directory(path, owner, mode);
    int r = fd;

    if (r >= 0 && fchown(fd, owner->uid, owner->gid) < 0)
        r = -errno;
    return r < 0 ? failure_set(failure, r, "cannot make %.100s: %s", path,
                               r == -EPERM ? "it is another user's" : strerror(-r))
                 : 0;
}

/* ---- netd's socket ----------------------------------------------------------------- */

/* While the directory is root's: nobody else can put something in the socket's place. */
static int bind_for(int dirfd, const struct paths *paths, const struct account *broker)
{
    struct sockaddr_un here = { .sun_family = AF_UNIX };
    AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? -errno : paths_netd_socket(paths, here.sun_path, sizeof here.sun_path);

    if (r < 0)
        return r;
    const char *name = strrchr(here.sun_path, '/') + 1;
    (void)unlinkat(dirfd, name, 0);
    mode_t mask = umask(0177);
    r = bind(fd, (struct sockaddr *)&here, sizeof here) < 0 ? -errno : 0;
    (void)umask(mask);
    if (r == 0 && (fchownat(dirfd, name, broker->uid, broker->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
                   listen(fd, 16) < 0))
        r = -errno;
    return r < 0 ? r : fd_take(&fd);
}

static int make_netd_socket(const struct paths *paths, const struct account *broker,
                            const struct account *netd, struct failure *failure)
{
    AUTO_FD dirfd = open_directory(paths->netd, netd, 0755);
    AUTO_FD fd = dirfd < 0 ? dirfd : bind_for(dirfd, paths, broker);

    if (fd >= 0 && fchown(dirfd, netd->uid, netd->gid) < 0)
        return failure_set(failure, -errno, "%s: %s", paths->netd, strerror(errno));
    if (fd < 0)
        return failure_set(failure, fd, "cannot listen for vmnet-netd in %s: %s", paths->netd,
                           strerror(-fd));
    return fd_take(&fd);
}

/* ---- processes --------------------------------------------------------------------- */

static int start_activator(const struct options *options, const struct account *netd, int listening,
                           int leash, struct failure *failure)
{
    /* NET_ADMIN: what it makes in the host. NET_BIND_SERVICE: forwarded ports below 1024. SETUID
     * and SETGID: a user of its own for pasta, in netd's user namespace. All are given up by netd
     * itself as soon as it has made that, and has forked who needs the others. */
    static const int capabilities[] = { CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_SETUID,
                                        CAP_SETGID };
    const struct user_shoes shoes = { .uid = netd->uid,
                                      .gid = netd->gid,
                                      .capabilities = capabilities,
                                      .n_capabilities = N_ELEMENTS(capabilities) };
    char program[PATH_MAX];
    const struct activator activator = { .netd = &shoes,
                                         .program = program,
                                         .listening = listening,
                                         .leash = leash,
                                         .log_level = options->log_level };
    int r = netd_program(NULL, program, sizeof program);

    if (r == 0)
        r = activator_start(&activator);
    return r < 0 ? failure_set(failure, r, "cannot fork what starts vmnet-netd: %s", strerror(-r))
                 : r;
}

/* In the group of its clients, or it could not let them in. */
static int become_broker(const struct account *broker, struct failure *failure)
{
    const struct group *group = getgrnam(SYSTEM_GROUP);
    const gid_t groups[] = { group ? group->gr_gid : broker->gid };
    const struct user_shoes shoes = {
        .uid = broker->uid, .gid = broker->gid, .groups = groups, .n_groups = N_ELEMENTS(groups)
    };

    if (!group)
        log_warning("there is no group " SYSTEM_GROUP ": only root can use this broker "
                    "(systemd-sysusers makes it, or groupadd --system " SYSTEM_GROUP ")");
    int r = confine_to_user(&shoes);
    return r < 0 ? failure_set(failure, r, "cannot become the user " SYSTEM_BROKER_USER ": %s",
                               strerror(-r))
                 : 0;
}

/* Netd makes the second half of it. */
static void name_namespace(const struct account *netd, int leash)
{
    const struct user_shoes shoes = { .uid = netd->uid, .gid = netd->gid };
    struct paths netd_paths;
    char target[sizeof netd_paths.netd + 8];

    paths_system_netd(&netd_paths);
    if (str_format(target, sizeof target, "%s/netns", netd_paths.netd) == 0)
        netns_name(target, &shoes, leash);
}

int system_prepare(const struct paths *paths, struct system_users *ret, struct failure *failure)
{
    struct paths netd_paths;
    int r = find_account(SYSTEM_BROKER_USER, &ret->broker, failure);

    paths_system_netd(&netd_paths);
    if (r == 0)
        r = find_account(SYSTEM_NETD_USER, &ret->netd, failure);
    if (r == 0)
        r = make_directory(paths->runtime, &ret->broker, 0755, failure);
    if (r == 0)
        r = make_directory(paths->state, &ret->broker, 0700, failure);
    if (r == 0)
        r = make_directory(netd_paths.state, &ret->netd, 0700, failure);
    if (r == 0 && (setegid(ret->broker.gid) < 0 || seteuid(ret->broker.uid) < 0))
        r = failure_set(failure, -errno, "cannot act as the user " SYSTEM_BROKER_USER ": %s",
                        strerror(errno));
    return r;
}

int system_begin(const struct options *options, const struct paths *paths,
                 const struct system_users *users, int *leash, struct failure *failure)
{
    if (seteuid(0) < 0 || setegid(0) < 0)
        return failure_set(failure, -errno, "cannot become root again: %s", strerror(errno));
    AUTO_FD listening = make_netd_socket(paths, &users->broker, &users->netd, failure);
    if (listening < 0)
        return listening;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return failure_set(failure, -errno, "cannot make a pipe: %s", strerror(errno));
    AUTO_FD theirs = ends[0], ours = ends[1];
    (void)signal(SIGCHLD, SIG_IGN); /* both outlive us; one that does not leaves no zombie */
    name_namespace(&users->netd, theirs);
    int r = start_activator(options, &users->netd, listening, theirs, failure);
    if (r == 0)
        r = become_broker(&users->broker, failure);
    if (r == 0)
        *leash = fd_take(&ours);
    return r;
}
