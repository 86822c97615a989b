/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c - see sandbox.h.
 *
 * The capabilities hold over the anchor's user namespace alone: over the host, netd
 * is its user. They are also gone from the bounding set, so that no exec() brings
 * them back.
 *
 * The lists below are by room. What is on none of them, and would be worth having for
 * somebody who has taken netd over: starting a program or a process, entering or making
 * namespaces, mounting, connecting to anything, tracing, changing modes and owners, and
 * sockets of other families. Files are read where everybody's are, and written below its own
 * directory and in the namespace's sysctls; its socket in the runtime directory is the
 * spawner's to make. docs/threat-model.md says what remains.
 */
#include "sandbox.h"

#include "log.h"
#include "mem.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* link.c, link_news.c, guard.c, host_default.c, ports_watch.c, nft.c: netlink. libnl and libmnl
 * send and receive in either way, libnftables waits by select(). uplink_tap.c and link.c ask about
 * links by ioctl(). */
const struct call_rule sandbox_netlink_calls[] = { CALL_IF("socket", 0, WHOLE, AF_NETLINK),
                                                   CALL("_newselect"),
                                                   CALL("pselect6"),
                                                   CALL("pselect6_time64"),
                                                   CALL("select"),
                                                   CALL_IF("ioctl", 1, WHOLE, SIOCETHTOOL),
                                                   CALL_IF("ioctl", 1, WHOLE, SIOCGIFHWADDR),
                                                   CALL_IF("ioctl", 1, WHOLE, SIOCGIFINDEX),
                                                   CALL_IF("ioctl", 1, WHOLE, SIOCGIFNAME),
                                                   CALLS_END };

/* tap.c */
static const struct call_rule tap_calls[] = { CALL_IF("ioctl", 1, WHOLE, TUNSETIFF),
                                              CALL_IF("ioctl", 1, WHOLE, TUNSETPERSIST),
                                              CALL_IF("ioctl", 1, WHOLE, TUNSETOWNER), CALLS_END };

/* tap_hold.c: named pipes, and nothing else of the kind. */
static const struct call_rule pipe_calls[] = { CALL_IF("mknod", 1, S_IFMT, S_IFIFO),
                                               CALL_IF("mknodat", 2, S_IFMT, S_IFIFO), CALLS_END };

/* The C library's name services, which libnftables asks for protocols, try to connect: that is
 * answered, not deadly. */
const struct call_rule sandbox_name_service_calls[] = { SOCKET_FAILS(AF_UNIX, SOCK_STREAM, EACCES),
                                                        SOCKET_OF_TYPE(AF_UNIX, SOCK_DGRAM),
                                                        CALL_FAILS("connect", EACCES), CALLS_END };

/* server.c, server_session.c: sessions. */
static const struct call_rule server_calls[] = { CALL("accept4"), CALL("shutdown"), CALLS_END };

/* forwarder_line.c: the way to the forwarder. */
static const struct call_rule forwarder_socket_calls[] = { CALL("socketpair"), CALLS_END };

/* kernel_uplink_probe.c: probes. relay.c: the sockets that the relay gets. if_nametoindex() takes
 * one of these, too. */
static const struct call_rule relay_socket_calls[] = { CALL_IF("socket", 0, WHOLE, AF_INET),
                                                       CALL_IF("socket", 0, WHOLE, AF_INET6),
                                                       CALL("listen"), CALLS_END };

/* journal.c, dnsmasq.c, knobs.c, network.c, lease_watch.c: files. */
static const struct call_rule file_calls[] = {
    CALL("inotify_add_watch"), CALL("inotify_init1"), CALL("inotify_rm_watch"),
    CALL("fallocate"),         CALL("getcwd"),        CALL("mkdir"),
    CALL("mkdirat"),           CALL("rmdir"),         CALLS_END
};

/* spawner.c, packet.c, supervise.c, anchor.c: children, by their pidfds; uplink_attempt.c: a pipe
 * for one. */
static const struct call_rule child_calls[] = {
    CALL("pipe2"), CALL("pidfd_open"), CALL("pidfd_send_signal"),
    CALL("wait4"), CALL("waitid"),     CALLS_END
};

int sandbox_confine_calls(void)
{
    const struct call_rule *const lists[] = {
        calls_c_library,
        calls_event_loop,
        calls_read_files,
        calls_write_files,
        calls_sockets,
        sandbox_netlink_calls,
        tap_calls,
        server_calls,
        relay_socket_calls,
        sandbox_name_service_calls,
        file_calls,
        child_calls,
        forwarder_socket_calls,
        pipe_calls,
    };

    return confine_to(lists, N_ELEMENTS(lists));
}

/* dnsmasq reads what guests send, and is the same user with the same capabilities over the
 * same namespace: whoever takes it over must not find our memory in /proc, even where there
 * is no Landlock to forbid that. (Nor would the sanitizers, who look for leaks there.) The anchor
 * stays as it is, or nobody could enter by it; it has nothing to be found. */
int sandbox_hide_memory(void)
{
    return !SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

/* In the namespace, whose sysctls these are. The directory of the TAP device and not the
 * device, which may only come with the kernel's module. */
int sandbox_confine_files(const char *state_path)
{
    const struct file_rule rules[] = {
        { state_path, FILES_READ | FILES_WRITE | FILES_MAKE | FILES_PIPE },
        { "/proc/sys/net", FILES_READ | FILES_WRITE },
        { "/dev/net", FILES_READ | FILES_WRITE | FILES_CONTROL },
        { "/proc", FILES_READ },
        { "/etc", FILES_READ },
        { "/usr", FILES_READ },
        { "/lib", FILES_READ },
        { "/lib64", FILES_READ },
        { "/dev/urandom", FILES_READ },
    };
    int r = confine_files(rules, N_ELEMENTS(rules), 0);

    if (r != -EOPNOTSUPP)
        return r;
    log_warning("without Landlock (vmnet-brokerctl doctor): we and dnsmasq could touch whatever "
                "files this user can");
    return 0;
}

int sandbox_enter(const char *state_path, bool uplink_user)
{
    int r = sandbox_confine_files(state_path);

    if (r < 0)
        return r;
    capng_clear(CAPNG_SELECT_ALL);
    /* NET_ADMIN: links, rules, TAPs. NET_RAW: sockets bound to a device.
     * NET_BIND_SERVICE: the relay's port 53. KILL: pasta and the anchor, where they are another
     * user's. */
    if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                      CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, uplink_user ? CAP_KILL : -1,
                      -1) < 0 ||
        capng_apply(CAPNG_SELECT_ALL) < 0)
        return -EPERM;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    r = sandbox_hide_memory();
    return r < 0 ? r : sandbox_confine_calls();
}
