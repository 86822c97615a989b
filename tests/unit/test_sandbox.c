/* SPDX-License-Identifier: Apache-2.0 */
/* What each process may still do under its filter, and that anything else ends it. Every
 * line of the table is a process of its own, which confines itself and then makes one
 * call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/brokerd/sandbox.h" /* netd has one of the same name */
#include "anchor.h"
#include "dnsmasq_sandbox.h"
#include "forwarder.h"
#include "hostside_part.h"
#include "mem.h"
#include "relay.h"
#include "sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- who ------------------------------------------------------------------------------- */

static int be_netd(void)
{
    return sandbox_confine_calls();
}

static int be_hostside(void)
{
    return hostside_confine_calls();
}

static int be_broker(void)
{
    return broker_sandbox_calls(false);
}

static int be_relay(void)
{
    return relay_confine();
}

/* Without its files, which tests/unit/test_sandbox_files.c looks at. */
static int be_dnsmasq(void)
{
    struct confine_filter filter;
    int r = dnsmasq_sandbox_prepare(&filter);

    return r < 0 ? r : confine_as(&filter);
}

static int be_forwarder(void)
{
    return forwarder_confine();
}

static int be_anchor(void)
{
    const struct call_rule *const lists[] = { anchor_calls };

    return confine_to(lists, N_ELEMENTS(lists));
}

static int be_spawner(void)
{
    return confine_not(calls_never);
}

/* ---- what: each returns 0 when the call did what it should -------------------------------- */

static int start_a_program(void)
{
    char *const argv[] = { (char[]){ "true" }, NULL };

    return execve("/bin/true", argv, (char *const[]){ NULL });
}

static int start_a_process(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid > 0 ? 0 : -1;
}

static void *run_thread(void *arg)
{
    return arg;
}

static int start_a_thread(void)
{
    pthread_t thread;

    return pthread_create(&thread, NULL, run_thread, NULL) == 0 ? pthread_join(thread, NULL) : -1;
}

static int look_up_a_user(void)
{
    return getpwuid(0) ? 0 : -1;
}

static int read_a_file(void)
{
    char byte;
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

    return fd >= 0 && read(fd, &byte, 1) == 1 ? close(fd) : -1;
}

static int write_a_file(void)
{
    return open("/dev/null", O_WRONLY | O_CLOEXEC) >= 0 ? 0 : -1;
}

static int make_a_file(void)
{
    return open("/dev/null", O_RDONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 ? 0 : -1;
}

static int empty_a_file_while_reading(void)
{
    return open("/dev/null", O_RDONLY | O_TRUNC | O_CLOEXEC) >= 0 ? 0 : -1;
}

static int change_a_mode(void)
{
    (void)chmod("/nonexistent", 0777);
    return 0;
}

/* The first half of talking to a session bus, or to anybody's server. */
static int connect_to_a_server(void)
{
    struct sockaddr_un there = { .sun_family = AF_UNIX, .sun_path = "/nonexistent" };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, (struct sockaddr *)&there, sizeof there) < 0 && errno == ENOENT
               ? 0
               : -1;
}

static int be_refused_a_server(void)
{
    return connect_to_a_server() == -1 && (errno == EACCES || errno == EPERM) ? 0 : -1;
}

static int name_a_link(void)
{
    return if_nametoindex("lo") == 1 ? 0 : -1;
}

static int be_refused_a_namespace(void)
{
    return unshare(CLONE_NEWUSER) == -1 && errno == EPERM ? 0 : -1;
}

static int be_refused_nftables(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER) == -1 && errno == EPERM
               ? 0
               : -1;
}

static int be_refused_typing(void)
{
    return ioctl(0, TIOCSTI, "x") == -1 && errno == EPERM ? 0 : -1;
}

static int ask_the_internet(void)
{
    struct sockaddr_in there = { .sin_family = AF_INET,
                                 .sin_port = htons(9),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&there, sizeof there);
}

static int be_refused_a_connection(void)
{
    return ask_the_internet() == -1 && errno == EACCES ? 0 : -1;
}

static int talk_to_the_kernel(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) >= 0 ? 0 : -1;
}

static int listen_to_all_packets(void)
{
    (void)socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    return 0; /* who is not root is refused, but lives */
}

static int listen_raw(void)
{
    (void)socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);
    return 0;
}

static int splice_bytes(void)
{
    int ends[2];
    char byte;

    return pipe2(ends, O_CLOEXEC) == 0 && write(ends[1], "x", 1) == 1 &&
                   splice(ends[0], NULL, ends[1], NULL, 0, 0) == 0 && read(ends[0], &byte, 1) == 1
               ? 0
               : -1;
}

static int be_refused_a_file(void)
{
    return open("/proc/self/stat", O_RDONLY | O_CLOEXEC) == -1 && errno == EACCES ? 0 : -1;
}

static int enter_a_namespace(void)
{
    (void)setns(-1, 0);
    return 0;
}

static int make_a_namespace(void)
{
    (void)unshare(CLONE_NEWUSER);
    return 0;
}

static int mount_something(void)
{
    (void)mount("none", "/nonexistent", "tmpfs", 0, NULL);
    return 0;
}

static int trace(void)
{
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    return 0;
}

static int load_bpf(void)
{
    (void)syscall(SYS_bpf, 0, NULL, 0);
    return 0;
}

static int take_keys(void)
{
    (void)syscall(SYS_keyctl, 0, 0, 0, 0, 0);
    return 0;
}

static int type_for_the_user(void)
{
    (void)ioctl(-1, TIOCSTI, "x");
    return 0;
}

static int kill_somebody_else(void)
{
    (void)syscall(SYS_tgkill, getppid(), getppid(), 0);
    return 0;
}

static int kill_somebody(void)
{
    (void)kill(getppid(), 0);
    return 0;
}

/* A call of a kernel that nobody here has heard of. */
static int call_the_future(void)
{
    return syscall(590) == -1 && errno == ENOSYS ? 0 : -1;
}

static int hear_the_word_to_stay(void)
{
    char byte;

    return read(-1, &byte, 1) == -1 && errno == EBADF ? 0 : -1;
}

/* ---- and what becomes of it -------------------------------------------------------------- */

#define LIVES 0
#define DIES  SIGSYS

static const struct story {
    const char *who;
    int (*confine)(void);
    const char *what;
    int (*act)(void);
    int end;
    bool strict; /* a sanitizer does it itself, and may */
} stories[] = {
    { "broker", be_broker, "reads a file", read_a_file, LIVES },
    { "broker", be_broker, "writes a file", write_a_file, LIVES },
    { "broker", be_broker, "talks to the kernel", talk_to_the_kernel, LIVES },
    { "broker", be_broker, "starts a thread", start_a_thread, LIVES },
    { "broker", be_broker, "looks up a user", look_up_a_user, LIVES },
    { "broker", be_broker, "tries a call of the future", call_the_future, LIVES },
    { "broker", be_broker, "starts a program", start_a_program, DIES },
    { "broker", be_broker, "starts a process", start_a_process, DIES, .strict = true },
    { "broker", be_broker, "traces", trace, DIES, .strict = true },
    { "broker", be_broker, "asks the internet", ask_the_internet, DIES },
    { "broker", be_broker, "listens to all packets", listen_to_all_packets, DIES },
    { "broker", be_broker, "enters a namespace", enter_a_namespace, DIES },
    { "broker", be_broker, "makes a namespace", make_a_namespace, DIES },
    { "broker", be_broker, "mounts", mount_something, DIES },
    { "broker", be_broker, "kills by number", kill_somebody, DIES },

    { "broker", be_broker, "empties a file", empty_a_file_while_reading, DIES, .strict = true },
    { "broker", be_broker, "changes a mode", change_a_mode, DIES },

    { "netd", be_netd, "reads a file", read_a_file, LIVES },
    { "netd", be_netd, "writes a file", write_a_file, LIVES },
    { "netd", be_netd, "talks to the kernel", talk_to_the_kernel, LIVES },
    { "netd", be_netd, "connects to nobody", be_refused_a_connection, LIVES },
    { "netd", be_netd, "connects to no server", be_refused_a_server, LIVES },
    { "netd", be_netd, "empties a file", empty_a_file_while_reading, DIES, .strict = true },
    { "netd", be_netd, "changes a mode", change_a_mode, DIES },
    { "netd", be_netd, "tries a call of the future", call_the_future, LIVES },
    { "netd", be_netd, "starts a process", start_a_process, DIES, .strict = true },
    { "netd", be_netd, "traces", trace, DIES, .strict = true },
    { "netd", be_netd, "starts a program", start_a_program, DIES },
    { "netd", be_netd, "enters a namespace", enter_a_namespace, DIES },
    { "netd", be_netd, "makes a namespace", make_a_namespace, DIES },
    { "netd", be_netd, "mounts", mount_something, DIES },
    { "netd", be_netd, "loads BPF", load_bpf, DIES },
    { "netd", be_netd, "listens to all packets", listen_to_all_packets, DIES },
    { "netd", be_netd, "types for the user", type_for_the_user, DIES },
    { "netd", be_netd, "kills by number", kill_somebody, DIES },
    { "netd", be_netd, "kills a thread of others", kill_somebody_else, DIES },

    { "hostside", be_hostside, "reads a file", read_a_file, LIVES },
    { "hostside", be_hostside, "writes a setting", write_a_file, LIVES },
    { "hostside", be_hostside, "talks to the kernel", talk_to_the_kernel, LIVES },
    { "hostside", be_hostside, "connects to no server", be_refused_a_server, LIVES },
    { "hostside", be_hostside, "tries a call of the future", call_the_future, LIVES },
    { "hostside", be_hostside, "makes a file", make_a_file, DIES, .strict = true },
    { "hostside", be_hostside, "changes a mode", change_a_mode, DIES },
    { "hostside", be_hostside, "starts a process", start_a_process, DIES, .strict = true },
    { "hostside", be_hostside, "starts a program", start_a_program, DIES },
    { "hostside", be_hostside, "asks the internet", ask_the_internet, DIES },
    { "hostside", be_hostside, "listens to all packets", listen_to_all_packets, DIES },
    { "hostside", be_hostside, "enters a namespace", enter_a_namespace, DIES },
    { "hostside", be_hostside, "makes a namespace", make_a_namespace, DIES },
    { "hostside", be_hostside, "mounts", mount_something, DIES },
    { "hostside", be_hostside, "loads BPF", load_bpf, DIES },
    { "hostside", be_hostside, "traces", trace, DIES, .strict = true },
    { "hostside", be_hostside, "kills by number", kill_somebody, DIES },

    { "relay", be_relay, "reads a file", read_a_file, LIVES },
    { "relay", be_relay, "asks a resolver", ask_the_internet, LIVES },
    { "relay", be_relay, "tries a call of the future", call_the_future, LIVES },
    { "relay", be_relay, "starts a process", start_a_process, DIES, .strict = true },
    { "relay", be_relay, "traces", trace, DIES, .strict = true },
    { "relay", be_relay, "writes a file", write_a_file, DIES, .strict = true },
    { "relay", be_relay, "makes a file", make_a_file, DIES, .strict = true },
    { "relay", be_relay, "names a link", name_a_link, LIVES },
    { "relay", be_relay, "connects to a server", connect_to_a_server, DIES },
    { "relay", be_relay, "starts a program", start_a_program, DIES },
    { "relay", be_relay, "talks to the kernel", talk_to_the_kernel, DIES },
    { "relay", be_relay, "enters a namespace", enter_a_namespace, DIES },
    { "relay", be_relay, "kills by number", kill_somebody, DIES },

    { "forwarder", be_forwarder, "reaches a VM", ask_the_internet, LIVES },
    { "forwarder", be_forwarder, "splices", splice_bytes, LIVES },
    { "forwarder", be_forwarder, "is refused any file", be_refused_a_file, LIVES, .strict = true },
    { "forwarder", be_forwarder, "tries a call of the future", call_the_future, LIVES },
    { "forwarder", be_forwarder, "listens to raw packets", listen_raw, DIES },
    { "forwarder", be_forwarder, "listens to all packets", listen_to_all_packets, DIES },
    { "forwarder", be_forwarder, "talks to the kernel", talk_to_the_kernel, DIES },
    { "forwarder", be_forwarder, "starts a program", start_a_program, DIES },
    { "forwarder", be_forwarder, "starts a process", start_a_process, DIES, .strict = true },
    { "forwarder", be_forwarder, "traces", trace, DIES, .strict = true },
    { "forwarder", be_forwarder, "enters a namespace", enter_a_namespace, DIES },
    { "forwarder", be_forwarder, "kills by number", kill_somebody, DIES },

    { "anchor", be_anchor, "hears the word to stay", hear_the_word_to_stay, LIVES },
    { "anchor", be_anchor, "starts a program", start_a_program, DIES },
    { "anchor", be_anchor, "reads a file", read_a_file, DIES, .strict = true },
    { "anchor", be_anchor, "asks the internet", ask_the_internet, DIES },
    { "anchor", be_anchor, "enters a namespace", enter_a_namespace, DIES },

    { "dnsmasq", be_dnsmasq, "becomes itself", start_a_program, LIVES },
    { "dnsmasq", be_dnsmasq, "starts a process", start_a_process, LIVES },
    { "dnsmasq", be_dnsmasq, "writes a file", write_a_file, LIVES },
    { "dnsmasq", be_dnsmasq, "talks to the kernel", talk_to_the_kernel, LIVES },
    { "dnsmasq", be_dnsmasq, "names a link", name_a_link, LIVES },
    { "dnsmasq", be_dnsmasq, "tries a call of the future", call_the_future, LIVES },
    { "dnsmasq", be_dnsmasq, "changes no rules", be_refused_nftables, LIVES },
    { "dnsmasq", be_dnsmasq, "connects to no server", be_refused_a_server, LIVES },
    { "dnsmasq", be_dnsmasq, "makes no namespace", be_refused_a_namespace, LIVES },
    { "dnsmasq", be_dnsmasq, "does not type for the user", be_refused_typing, LIVES },

    { "spawner", be_spawner, "starts a program", start_a_program, LIVES },
    { "spawner", be_spawner, "starts a process", start_a_process, LIVES },
    { "spawner", be_spawner, "traces", trace, DIES, .strict = true },
    { "spawner", be_spawner, "loads BPF", load_bpf, DIES },
    { "spawner", be_spawner, "takes keys", take_keys, DIES },
};

static void tell(const struct story *story)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (story->confine() < 0)
            _exit(2);
        _exit(story->act() == 0 ? 0 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        fail_msg("%s: cannot confine itself", story->who);
    if (story->end == LIVES && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        fail_msg("%s %s: ended with status 0x%x", story->who, story->what, (unsigned)status);
    if (story->end != LIVES && !(WIFSIGNALED(status) && WTERMSIG(status) == story->end))
        fail_msg("%s %s: not killed, but status 0x%x", story->who, story->what, (unsigned)status);
}

static void what_is_on_no_list_ends_the_process(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(stories); i++)
        if (!SANITIZED || !stories[i].strict)
            tell(&stories[i]);
}

static int be_free(void)
{
    (void)setenv("VMNET_BROKER_SECCOMP", "off", 1);
    return sandbox_confine_calls();
}

static int be_watched(void)
{
    (void)setenv("VMNET_BROKER_SECCOMP", "log", 1);
    return sandbox_confine_calls();
}

static void the_environment_can_lift_it(void **unused)
{
    const struct story lifted[] = {
        { "netd", be_free, "enters a namespace", enter_a_namespace, LIVES },
        { "netd", be_watched, "enters a namespace", enter_a_namespace, LIVES },
    };

    (void)unused;
    for (size_t i = 0; i < N_ELEMENTS(lifted); i++)
        tell(&lifted[i]);
}

static int lose_all(void)
{
    return confine_without_capabilities();
}

static int have_no_capability(void)
{
    char line[128], *found = NULL;
    FILE *file = fopen("/proc/self/status", "re");

    while (file && !found && fgets(line, sizeof line, file))
        found = strncmp(line, "CapPrm:", 7) == 0 ? line : NULL;
    return found && strtoull(found + 7, NULL, 16) == 0 ? 0 : -1;
}

static int lose_all_for_good(void)
{
    return confine_without_capabilities() == 0 && setuid(0) == 0 ? have_no_capability() : -1;
}

static void root_loses_its_capabilities_too(void **unused)
{
    const struct story stripped[] = {
        { "anybody", lose_all, "has no capability", have_no_capability, LIVES },
        { "root", lose_all_for_good, "gets none back", have_no_capability, LIVES },
    };

    (void)unused;
    tell(&stripped[0]);
    if (getuid() == 0)
        tell(&stripped[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_on_no_list_ends_the_process),
        cmocka_unit_test(the_environment_can_lift_it),
        cmocka_unit_test(root_loses_its_capabilities_too),
    };

    (void)unsetenv("VMNET_BROKER_SECCOMP");
    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
