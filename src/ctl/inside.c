/* SPDX-License-Identifier: Apache-2.0 */
#include "inside.h"
#include "call.h"
#include "fd.h"
#include "mem.h"
#include "resolver.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

int inside_find(const struct ctl *ctl, struct inside *ret)
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
    *ret = (struct inside){ pid, resolver_text(json_object_get(reply.parameters, "networks")) };
    return 0;
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

int inside_enter(const struct inside *inside)
{
    int r = enter(inside->pid);
    if (r < 0) {
        complain("cannot enter the namespace of process %ld: %s", inside->pid, strerror(-r));
        return -1;
    }
    r = inside->resolver ? resolver_use(inside->resolver) : 0;
    if (r < 0)
        complain("names of virtual machines will not be found: %s", strerror(-r));
    return 0;
}

void inside_clear(struct inside *inside)
{
    free(inside->resolver);
    inside->resolver = NULL;
}
