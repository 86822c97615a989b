/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c - see sandbox.h.
 *
 * The capabilities hold over the anchor's user namespace alone: over the host, netd
 * is its user. They are also gone from the bounding set, so that no exec() brings
 * them back.
 *
 * The lists below are by room. What is on none of them, and would be worth having for
 * somebody who has taken netd over: starting a program or a process, entering or making
 * namespaces, mounting, connecting to anything, tracing, and sockets of other families.
 * What stays: netd writes files as its user, wherever that user may. A read-only view of
 * them was considered; docs/threat-model.md says why it would only look like one.
 */
#include "sandbox.h"

#include "mem.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* link.c, guard.c, host_default.c, ports.c, nft.c: netlink. libnl and libmnl send and receive in
 * either way, libnftables waits by select(). uplink_tap.c and link.c ask about links by
 * ioctl(). */
static const struct call_rule netlink_calls[] = { CALL_IF("socket", 0, WHOLE, AF_NETLINK),
                                                  CALL("bind"),
                                                  CALL("getpeername"),
                                                  CALL("_newselect"),
                                                  CALL("pselect6"),
                                                  CALL("pselect6_time64"),
                                                  CALL("select"),
                                                  CALL("getsockname"),
                                                  CALL("getsockopt"),
                                                  CALL("recv"),
                                                  CALL("recvfrom"),
                                                  CALL("recvmsg"),
                                                  CALL("send"),
                                                  CALL("sendmsg"),
                                                  CALL("sendto"),
                                                  CALL("setsockopt"),
                                                  CALL_IF("ioctl", 1, WHOLE, SIOCETHTOOL),
                                                  CALL_IF("ioctl", 1, WHOLE, SIOCGIFINDEX),
                                                  CALL_IF("ioctl", 1, WHOLE, SIOCGIFNAME),
                                                  CALLS_END };

/* tap.c */
static const struct call_rule tap_calls[] = { CALL_IF("ioctl", 1, WHOLE, TUNSETIFF),
                                              CALL_IF("ioctl", 1, WHOLE, TUNSETPERSIST),
                                              CALL_IF("ioctl", 1, WHOLE, TUNSETOWNER), CALLS_END };

/* server.c: bind() again when the directory has vanished, and who is there. connect() is
 * answered, not deadly: the C library's name services try it. */
static const struct call_rule server_calls[] = { CALL_IF("socket", 0, WHOLE, AF_UNIX),
                                                 CALL_FAILS("connect", EACCES),
                                                 CALL("accept4"),
                                                 CALL("listen"),
                                                 CALL("shutdown"),
                                                 CALLS_END };

/* relay.c: the sockets that the relay gets. if_nametoindex() takes one of these, too. */
static const struct call_rule relay_socket_calls[] = { CALL_IF("socket", 0, WHOLE, AF_INET),
                                                       CALLS_END };

/* journal.c, dnsmasq.c, link.c (sysctl), place.c, server.c: files. */
static const struct call_rule file_calls[] = {
    CALL("open"),      CALL("openat"),    CALL("chmod"),   CALL("fchmod"),    CALL("fchmodat"),
    CALL("fdatasync"), CALL("flock"),     CALL("fsync"),   CALL("ftruncate"), CALL("ftruncate64"),
    CALL("getcwd"),    CALL("mkdir"),     CALL("mkdirat"), CALL("pwrite64"),  CALL("rename"),
    CALL("renameat"),  CALL("renameat2"), CALL("rmdir"),   CALL("umask"),     CALL("unlink"),
    CALL("unlinkat"),  CALLS_END
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
        calls_c_library, calls_event_loop,   calls_read_files, netlink_calls, tap_calls,
        server_calls,    relay_socket_calls, file_calls,       child_calls,
    };

    return confine_to(lists, N_ELEMENTS(lists));
}

/* dnsmasq reads what guests send, and is the same user with the same capabilities over the
 * same namespace: whoever takes it over must not find our memory in /proc. (Nor would the
 * sanitizers, who look for leaks there.) The anchor stays as it is, or nobody could enter by
 * it; it has nothing to be found. */
static int hide_memory(void)
{
    return !SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int sandbox_enter(void)
{
    int r;

    capng_clear(CAPNG_SELECT_ALL);
    /* NET_ADMIN: links, rules, TAPs. NET_RAW: sockets bound to a device.
     * NET_BIND_SERVICE: the relay's port 53. */
    if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                      CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, -1) < 0 ||
        capng_apply(CAPNG_SELECT_ALL) < 0)
        return -EPERM;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    r = hide_memory();
    return r < 0 ? r : sandbox_confine_calls();
}
