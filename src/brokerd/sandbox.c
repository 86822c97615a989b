/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c - see sandbox.h.
 *
 * The broker is the process that strangers talk to, and the one that reads the longest
 * messages. It runs no program (netd's starter does that), changes no network and has no
 * privilege, so what is left for somebody who has taken it over are files and sockets of
 * its user: in a system instance a user that owns nothing else.
 *
 * Root's broker keeps no capability either, not even the one to ignore who owns a file:
 * what it needs in its directories is its own.
 */
#include "sandbox.h"

#include "mem.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <pwd.h>
#include <sys/socket.h>

/* transport_varlink.c, listeners.c, netd_session.c, netd_start.c, listen.c, sd_notify():
 * clients, netd, the starter. */
static const struct call_rule socket_calls[] = { CALL_IF("socket", 0, WHOLE, AF_UNIX),
                                                 CALL("accept4"),
                                                 CALL("bind"),
                                                 CALL("connect"),
                                                 CALL("getpeername"),
                                                 CALL("getsockname"),
                                                 CALL("getsockopt"),
                                                 CALL("listen"),
                                                 CALL("recv"),
                                                 CALL("recvfrom"),
                                                 CALL("recvmsg"),
                                                 CALL("send"),
                                                 CALL("sendmsg"),
                                                 CALL("sendto"),
                                                 CALL("setsockopt"),
                                                 CALL("shutdown"),
                                                 CALLS_END };

/* host_routes.c: asks the kernel; without a capability nothing can be told. */
static const struct call_rule route_calls[] = { CALL_IF("socket", 0, WHOLE, AF_NETLINK),
                                                CALL_IF("ioctl", 1, WHOLE, SIOCGIFNAME),
                                                CALLS_END };

/* memory_file.c, instance.c, listen.c: the state directory, and the socket anew when its
 * directory has vanished. definition_watch.c: definitions that change. */
static const struct call_rule file_calls[] = { CALL("inotify_add_watch"),
                                               CALL("inotify_init1"),
                                               CALL("inotify_rm_watch"),
                                               CALL("chmod"),
                                               CALL("fchmod"),
                                               CALL("fchmodat"),
                                               CALL("fchown"),
                                               CALL("fchownat"),
                                               CALL("fdatasync"),
                                               CALL("flock"),
                                               CALL("fsync"),
                                               CALL("ftruncate"),
                                               CALL("ftruncate64"),
                                               CALL("mkdir"),
                                               CALL("mkdirat"),
                                               CALL("open"),
                                               CALL("openat"),
                                               CALL("pwrite64"),
                                               CALL("rename"),
                                               CALL("renameat"),
                                               CALL("renameat2"),
                                               CALL("umask"),
                                               CALL("unlink"),
                                               CALL("unlinkat"),
                                               CALLS_END };

/* varlink_methods.c names clients' users: what the C library's name services (files,
 * systemd, sssd) do beyond the lists above. */
static const struct call_rule name_service_calls[] = { CALL("fstatfs"),  CALL("fstatfs64"),
                                                       CALL("getppid"),  CALL("statfs"),
                                                       CALL("statfs64"), CALLS_END };

/* Name services are libraries that are loaded when they are first asked. Asking for
 * somebody who does not exist loads all of them, while that is still possible. */
static void load_name_services(void)
{
    (void)getpwuid((uid_t)-2);
    (void)getgrnam("vmnet");
}

int broker_sandbox_calls(void)
{
    const struct call_rule *const lists[] = {
        calls_c_library, calls_event_loop, calls_read_files, calls_thread,
        socket_calls,    route_calls,      file_calls,       name_service_calls,
    };

    return confine_to(lists, N_ELEMENTS(lists));
}

int broker_sandbox_enter(void)
{
    load_name_services();
    int r = confine_without_capabilities();
    return r < 0 ? r : broker_sandbox_calls();
}
