/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_exec.c - runs a command inside the namespace of a user instance's networks.
 *
 * The broker names a process that holds the namespaces open. Entering them needs nothing
 * but being its user; there, the command gets the capabilities that tools like ping,
 * tcpdump and ip want. They are ambient, because the user is not 0 inside: without that
 * they would be gone with execve().
 */
#include "call.h"
#include "child.h"
#include "fd.h"
#include "mem.h"
#include "resolver.h"
#include "str.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static const int capabilities[] = { CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE };

/* The process, or -1, said; and the resolver's text, which may be NULL. */
static long find_namespace(const struct ctl *ctl, char **ret_resolver)
{
    AUTO_CONNECTION c = CONNECTION_INIT;
    AUTO_REPLY reply = REPLY_INIT;
    int r = call_open(ctl, &c);
    if (r == -ENOTCONN)
        say_not_running(ctl);
    if (r < 0 || call_broker(&c, "Status", NULL, NULL, &reply) < 0)
        return -1;

    const json_t *broker = json_object_get(reply.parameters, "broker");
    const char *instance = json_string_value(json_object_get(broker, "instance"));
    long pid = (long)json_integer_value(json_object_get(broker, "namespace_pid"));
    if (instance && strcmp(instance, "system") == 0) {
        complain("the system's networks are entered by root: ip netns exec vmnet-broker COMMAND");
        return -1;
    }
    if (pid < 1) {
        complain("there is no namespace; acquiring a network makes one");
        return -1;
    }
    *ret_resolver = resolver_text(json_object_get(reply.parameters, "networks"));
    return pid;
}

static int open_namespace(long pid, const char *kind)
{
    char path[64];
    (void)str_format(path, sizeof path, "/proc/%ld/ns/%s", pid, kind);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static bool same_namespace(int fd, const char *kind)
{
    struct stat ours, theirs;
    AUTO_FD own = open_namespace((long)getpid(), kind);
    return own >= 0 && fstat(own, &ours) == 0 && fstat(fd, &theirs) == 0 &&
           ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

/* Both are opened first: behind the user namespace we may no longer see the process. */
static int enter(long pid)
{
    AUTO_FD user = open_namespace(pid, "user");
    AUTO_FD net = open_namespace(pid, "net");
    if (user < 0 || net < 0)
        return user < 0 ? user : net;
    if (!same_namespace(user, "user") && setns(user, CLONE_NEWUSER) < 0)
        return -errno;
    return setns(net, CLONE_NEWNET) < 0 ? -errno : 0;
}

static int keep_capabilities(void)
{
    if (capng_get_caps_process() < 0)
        return -EPERM;
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
        (void)capng_update(CAPNG_ADD, CAPNG_INHERITABLE, (unsigned)capabilities[i]);
    if (capng_apply(CAPNG_SELECT_CAPS) < 0)
        return -EPERM;
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capabilities[i], 0, 0) < 0)
            return -errno;
    return 0;
}

int cmd_exec(struct ctl *ctl, int argc, char **argv)
{
    int r = common_options(ctl, argc, argv, true, 1, INT_MAX);
    if (r >= 0)
        return r;
    AUTO_FREE char *resolver = NULL;
    long pid = find_namespace(ctl, &resolver);
    if (pid < 0)
        return EXIT_OURS;
    r = enter(pid);
    if (r < 0) {
        complain("cannot enter the namespace of process %ld: %s", pid, strerror(-r));
        return EXIT_OURS;
    }
    r = resolver ? resolver_use(resolver) : 0;
    if (r < 0)
        complain("names of virtual machines will not be found: %s", strerror(-r));
    r = keep_capabilities();
    if (r < 0) {
        complain("cannot keep the namespace's capabilities: %s", strerror(-r));
        return EXIT_OURS;
    }
    return child_exec(argv + optind);
}
