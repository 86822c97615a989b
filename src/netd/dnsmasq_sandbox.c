/* SPDX-License-Identifier: Apache-2.0 */
/* dnsmasq_sandbox.c - see dnsmasq_sandbox.h.
 *
 * dnsmasq parses DHCP, DNS and neighbour discovery of guests that nobody trusts, as the user
 * whose guests they are, with three capabilities over the namespace. So it is the first that a
 * guest would take over, and gets least: no file of that user's, no other process, no socket
 * that leads to one (a session bus, netd), no netlink but routes and addresses, hence no
 * change of the rules that keep guests apart.
 *
 * It is not our program, and a network without DHCP is worth less than one without its newest
 * feature: so what is not on the list fails, and does not end it. As seen with 2.80 to 2.90,
 * with what their sources do beyond what our configuration asks for.
 */
#include "dnsmasq_sandbox.h"

#include "mem.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* becoming it: exec(), the dynamic loader, the C library's start */
static const struct call_rule start_calls[] = { CALL("arch_prctl"),
                                                CALL("capget"),
                                                CALL("capset"),
                                                CALL("chdir"),
                                                CALL("dup2"),
                                                CALL("execve"),
                                                CALL("fadvise64"),
                                                CALL("getcwd"),
                                                CALL("getppid"),
                                                CALL("prctl"),
                                                CALL("set_thread_area"),
                                                CALL("set_tid_address"),
                                                CALL("set_tls"),
                                                CALL("umask"),
                                                CALLS_END };

static const struct call_rule socket_calls[] = {
    CALL_IF("socket", 0, WHOLE, AF_INET), CALL_IF("socket", 0, WHOLE, AF_INET6),
    SOCKET_OF_PROTOCOL(AF_NETLINK, NETLINK_ROUTE),
    /* The C library asks for names of links through one. None that connects to a server. */
    SOCKET_OF_TYPE(AF_UNIX, SOCK_DGRAM), CALL("accept"), CALL("accept4"), CALL("connect"),
    CALL("listen"), CALL("shutdown"),
    /* links by name, and the answer to a client that has no address yet */
    CALL_IF("ioctl", 1, WHOLE, SIOCGIFADDR), CALL_IF("ioctl", 1, WHOLE, SIOCGIFFLAGS),
    CALL_IF("ioctl", 1, WHOLE, SIOCGIFHWADDR), CALL_IF("ioctl", 1, WHOLE, SIOCGIFINDEX),
    CALL_IF("ioctl", 1, WHOLE, SIOCGIFMTU), CALL_IF("ioctl", 1, WHOLE, SIOCGIFNAME),
    CALL_IF("ioctl", 1, WHOLE, SIOCSARP), CALLS_END
};

#define NAMESPACES                                                                                 \
    (CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER |  \
     CLONE_NEWUTS)

/* A process for each question over TCP, ended by kill() and alarms; it waits in poll(), or
 * before 2.81 in select(). */
static const struct call_rule process_calls[] = {
    CALL("alarm"),
    CALL_IF("clone", 0, NAMESPACES, 0),
    CALL_FAILS("clone3", ENOSYS),
    CALL("fork"),
    CALL("inotify_add_watch"),
    CALL("inotify_init1"),
    CALL("kill"),
    CALL("_newselect"),
    CALL("pipe"),
    CALL("pipe2"),
    CALL("pselect6"),
    CALL("pselect6_time64"),
    CALL("select"),
    CALL("setitimer"),
    CALL("sigaltstack"),
    CALL("wait4"),
    CALL("waitid"),
    CALLS_END,
};

int dnsmasq_sandbox_prepare(struct confine_filter *ret)
{
    const struct call_rule *const lists[] = {
        calls_c_library, calls_read_files, calls_write_files, calls_sockets,
        start_calls,     socket_calls,     process_calls,
    };

    return confine_prepare(lists, N_ELEMENTS(lists), ret);
}

/* Named one by one in /etc, where root's instance could read more than others. */
static int confine_to_directory(const char *directory)
{
    const struct file_rule rules[] = {
        { directory, FILES_READ | FILES_WRITE | FILES_MAKE },
        { "/usr", FILES_READ | FILES_RUN },
        { "/bin", FILES_READ | FILES_RUN },
        { "/sbin", FILES_READ | FILES_RUN },
        { "/lib", FILES_READ | FILES_RUN },
        { "/lib64", FILES_READ | FILES_RUN },
        { "/etc/ld.so.cache", FILES_READ },
        { "/etc/ld.so.preload", FILES_READ },
        { "/etc/localtime", FILES_READ },
        { "/etc/nsswitch.conf", FILES_READ },
        { "/etc/group", FILES_READ },
        { "/etc/passwd", FILES_READ },
        { "/proc/self", FILES_READ },
        { "/dev/null", FILES_READ | FILES_WRITE },
        { "/dev/urandom", FILES_READ },
        { "/dev/random", FILES_READ },
    };

    return confine_files(rules, N_ELEMENTS(rules), FILES_ALONE);
}

int dnsmasq_sandbox_enter(const struct confine_filter *filter, const char *directory)
{
    int r = confine_to_directory(directory);

    /* Of a kernel that cannot do it netd has complained already. */
    return r < 0 && r != -EOPNOTSUPP ? r : confine_as(filter);
}
