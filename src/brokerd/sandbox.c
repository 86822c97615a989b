/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c - see sandbox.h.
 *
 * The broker is the process that strangers talk to, and the one that reads the longest
 * messages. It runs no program (netd's starter does that), changes no network and has no
 * privilege. It writes to its state directory and the socket's, and nowhere else. What is left
 * for somebody who has taken it over is to read what its user may, and to talk to that user's
 * other servers: in a system instance a user that owns nothing else.
 *
 * Root's broker keeps no capability either, not even the one to ignore who owns a file:
 * what it needs in its directories is its own.
 */
#include "sandbox.h"

#include "log.h"
#include "mem.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>

/* transport_varlink.c, listeners.c, netd_session.c, netd_start.c, listen.c, sd_notify():
 * clients, netd, the starter. */
static const struct call_rule socket_calls[] = { CALL_IF("socket", 0, WHOLE, AF_UNIX),
                                                 CALL("accept4"),
                                                 CALL("connect"),
                                                 CALL("listen"),
                                                 CALL("shutdown"),
                                                 CALLS_END };

/* host_routes.c: asks the kernel; without a capability nothing can be told. */
static const struct call_rule route_calls[] = { CALL_IF("socket", 0, WHOLE, AF_NETLINK),
                                                CALL_IF("ioctl", 1, WHOLE, SIOCGIFNAME),
                                                CALLS_END };

/* memory_file.c, listen.c: the state directory, and the socket anew when its directory has
 * vanished. definition_watch.c: definitions that change. */
static const struct call_rule file_calls[] = { CALL("inotify_add_watch"),
                                               CALL("inotify_init1"),
                                               CALL("inotify_rm_watch"),
                                               CALL("mkdir"),
                                               CALL("mkdirat"),
                                               CALL("umask"),
                                               CALLS_END };

/* listen.c: the same for a socket that others may use. */
static const struct call_rule shared_socket_calls[] = { CALL_IF("fchmod", 1, 07777, 0755),
                                                        CALL_IF("fchmodat", 2, 07777, 0660),
                                                        CALL("fchownat"), CALLS_END };

/* varlink_replies.c names clients' users: what the C library's name services (files,
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

int broker_sandbox_calls(bool shared)
{
    const struct call_rule *const lists[] = {
        calls_c_library, calls_event_loop,   calls_read_files,    calls_write_files,
        calls_thread,    calls_sockets,      socket_calls,        route_calls,
        file_calls,      name_service_calls, shared_socket_calls, /* the last one */
    };

    return confine_to(lists, N_ELEMENTS(lists) - (shared ? 0 : 1));
}

/* Who logs out loses the directory above the runtime directory, too. So what must not vanish
 * is the one above that, unless this is the root of everything. */
static int lasting_directory(const char *runtime, char *ret, size_t size)
{
    int r = str_copy(ret, size, runtime);

    for (int level = 0; r == 0 && level < 2; level++) {
        char *slash = strrchr(ret, '/');
        if (!slash || slash == ret)
            break;
        *slash = '\0';
    }
    return r;
}

int broker_sandbox_files(const struct paths *paths)
{
    char lasting[sizeof paths->runtime];
    int r = lasting_directory(paths->runtime, lasting, sizeof lasting);
    const struct file_rule rules[] = {
        { paths->state, FILES_WRITE | FILES_MAKE },
        { lasting, FILES_LISTEN },
    };

    if (r < 0)
        return r;
    r = confine_files(rules, N_ELEMENTS(rules), FILES_READ_ANY);
    if (r != -EOPNOTSUPP)
        return r;
    log_warning("without Landlock (vmnet-brokerctl doctor): the broker could write to whatever "
                "files its user can");
    return 0;
}

int broker_sandbox_enter(const struct paths *paths, bool shared)
{
    load_name_services();
    int r = confine_without_capabilities();
    if (r == 0)
        r = broker_sandbox_files(paths);
    return r < 0 ? r : broker_sandbox_calls(shared);
}
