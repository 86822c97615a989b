/* SPDX-License-Identifier: Apache-2.0 */
/* Which files each process can still touch. Every line of the table is a process of its own,
 * once without its confinement, where the act must succeed, and once within it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/brokerd/sandbox.h" /* netd has one of the same name */
#include "dnsmasq_sandbox.h"
#include "engine.h"
#include "fd.h"
#include "file.h"
#include "hostside_part.h"
#include "mem.h"
#include "relay.h"
#include "sandbox.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* A user's home, of which some is ours:
 *   state/kept    in the state directory
 *   login/run/    the runtime directory, below what a logout takes away
 *   key           the user's own
 *   neighbour     the user's own process, which was there before */
static struct {
    char home[64];
    struct paths paths;
    pid_t neighbour;
} world;

static const char *at(const char *name)
{
    static char path[PATH_MAX];

    assert_int_equal(str_format(path, sizeof path, "%s/%s", world.home, name), 0);
    return path;
}

/* ---- who ------------------------------------------------------------------------------- */

static int be_broker(void)
{
    return broker_sandbox_files(&world.paths);
}

static int be_netd(void)
{
    return sandbox_confine_files(world.paths.state);
}

static int be_hostside(void)
{
    return hostside_confine_files();
}

static int be_dnsmasq(void)
{
    const struct confine_filter none = { 0 };

    return dnsmasq_sandbox_enter(&none, world.paths.state);
}

static int be_slirp4netns(void)
{
    return engine_confine(CHILD_SLIRP4NETNS);
}

/* Without its list of calls, which would be the first to say no. */
static int be_relay(void)
{
    (void)setenv("VMNET_BROKER_SECCOMP", "off", 1);
    return relay_confine();
}

/* ---- what: 0, or the errno --------------------------------------------------------------- */

static int opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    return fd < 0 ? errno : close(fd);
}

static int replace(const char *directory, const char *name)
{
    AUTO_FD dirfd = open(at(directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return dirfd < 0 ? errno : -file_replace(dirfd, name, "secret", 6, 0600);
}

static int keep_state(void)
{
    return replace("state", "kept");
}

static int make_a_directory_of_state(void)
{
    if (mkdir(at("state/7"), 0700) < 0)
        return errno;
    return rmdir(at("state/7")) < 0 ? errno : 0;
}

static int read_a_key(void)
{
    return opens(at("key"), O_RDONLY);
}

static int overwrite_a_key(void)
{
    return opens(at("key"), O_WRONLY);
}

static int empty_a_key(void)
{
    return opens(at("key"), O_WRONLY | O_TRUNC);
}

static int leave_a_file(void)
{
    return opens(at("profile"), O_WRONLY | O_CREAT);
}

static int make_a_directory(void)
{
    return mkdir(at("new"), 0700) < 0 ? errno : 0;
}

static int remove_a_key(void)
{
    return unlink(at("key")) < 0 ? errno : 0;
}

static int take_a_key_away(void)
{
    char from[PATH_MAX];

    (void)str_copy(from, sizeof from, at("key"));
    return rename(from, at("state/key")) < 0 ? errno : 0;
}

static int link_to_a_key(void)
{
    return symlink("key", at("state/link")) < 0 ? errno : 0;
}

static int listen_at(const char *name)
{
    struct sockaddr_un here = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (str_copy(here.sun_path, sizeof here.sun_path, at(name)) < 0)
        return ENAMETOOLONG;
    if (bind(fd, (struct sockaddr *)&here, sizeof here) < 0)
        return errno;
    return unlink(here.sun_path) < 0 ? errno : 0;
}

static int listen_in_runtime(void)
{
    return listen_at("login/run/broker.sock");
}

/* The neighbour logs out, and we are there again first. */
static int listen_after_a_logout(void)
{
    if (kill(world.neighbour, SIGUSR1) < 0)
        return errno;
    for (int tries = 0; access(at("login"), F_OK) == 0; tries++)
        if (tries == 10000 || usleep(1000) < 0)
            return ETIMEDOUT;
    if (mkdir(at("login"), 0700) < 0 || mkdir(at("login/run"), 0700) < 0)
        return errno;
    return listen_in_runtime();
}

static int listen_elsewhere(void)
{
    return listen_at("agent");
}

static int connect_to_a_server(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? errno : close(fd);
}

static int use_the_tap_device(void)
{
    return opens("/dev/net/tun", O_RDWR);
}

static int write_a_sysctl(void)
{
    return opens("/proc/sys/net/ipv6/conf/all/forwarding", O_WRONLY);
}

static int write_the_hosts_sysctl(void)
{
    return opens("/proc/sys/kernel/core_pattern", O_WRONLY);
}

static int read_what_is_public(void)
{
    return opens("/etc/passwd", O_RDONLY);
}

static int read_resolvers(void)
{
    return opens("/etc/resolv.conf", O_RDONLY);
}

static int read_what_is_the_systems(void)
{
    return opens("/etc/hostname", O_RDONLY);
}

static int run_a_program(void)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(errno);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : ECHILD;
}

static int read_a_neighbours(const char *what, int flags)
{
    char path[64];

    (void)str_format(path, sizeof path, "/proc/%d/%s", (int)world.neighbour, what);
    return opens(path, flags);
}

static int write_a_neighbours_memory(void)
{
    return read_a_neighbours("mem", O_RDWR);
}

static int go_around_by_a_neighbour(void)
{
    char path[PATH_MAX];

    (void)str_format(path, sizeof path, "/proc/%d/root%s/key", (int)world.neighbour, world.home);
    return opens(path, O_WRONLY);
}

static int signal_a_neighbour(void)
{
    return kill(world.neighbour, 0) < 0 ? errno : 0;
}

/* ---- and what becomes of it -------------------------------------------------------------- */

#define FINE 0
#define NO   EACCES

static const struct story {
    const char *who;
    int (*confine)(void);
    const char *what;
    int (*act)(void);
    int err;
    int version; /* of Landlock */
} stories[] = {
    { "broker", be_broker, "keeps its state", keep_state, FINE },
    { "broker", be_broker, "listens", listen_in_runtime, FINE },
    { "broker", be_broker, "listens again after a logout", listen_after_a_logout, FINE },
    { "broker", be_broker, "reads what is public", read_what_is_public, FINE },
    { "broker", be_broker, "overwrites a key", overwrite_a_key, NO },
    { "broker", be_broker, "empties a key", empty_a_key, NO },
    { "broker", be_broker, "leaves a file", leave_a_file, NO },
    { "broker", be_broker, "takes a key away", take_a_key_away, EXDEV, .version = 2 },
    { "broker", be_broker, "makes a link", link_to_a_key, NO },
    { "broker", be_broker, "writes to the tap device", use_the_tap_device, NO },
    { "broker", be_broker, "runs a program", run_a_program, NO },
    { "broker", be_broker, "writes a neighbour's memory", write_a_neighbours_memory, NO },

    { "netd", be_netd, "keeps its state", keep_state, FINE },
    { "netd", be_netd, "makes a network's directory", make_a_directory_of_state, FINE },
    { "netd", be_netd, "uses the tap device", use_the_tap_device, FINE },
    { "netd", be_netd, "writes a sysctl", write_a_sysctl, FINE },
    { "netd", be_netd, "reads what is public", read_what_is_public, FINE },
    { "netd", be_netd, "writes the host's sysctl", write_the_hosts_sysctl, NO },
    { "netd", be_netd, "reads a key", read_a_key, NO },
    { "netd", be_netd, "overwrites a key", overwrite_a_key, NO },
    { "netd", be_netd, "removes a key", remove_a_key, NO },
    { "netd", be_netd, "leaves a file", leave_a_file, NO },
    { "netd", be_netd, "makes a directory", make_a_directory, NO },
    { "netd", be_netd, "listens in the runtime directory", listen_in_runtime, NO },
    { "netd", be_netd, "runs a program", run_a_program, NO },
    { "netd", be_netd, "writes a neighbour's memory", write_a_neighbours_memory, NO },
    { "netd", be_netd, "goes around by a neighbour", go_around_by_a_neighbour, NO },

    { "hostside", be_hostside, "writes a sysctl", write_a_sysctl, FINE },
    { "hostside", be_hostside, "reads what is public", read_what_is_public, FINE },
    { "hostside", be_hostside, "writes the host's other sysctls", write_the_hosts_sysctl, NO },
    { "hostside", be_hostside, "changes netd's state", keep_state, NO },
    { "hostside", be_hostside, "reads a key", read_a_key, NO },
    { "hostside", be_hostside, "leaves a file", leave_a_file, NO },
    { "hostside", be_hostside, "uses the tap device", use_the_tap_device, NO },
    { "hostside", be_hostside, "listens", listen_in_runtime, NO },
    { "hostside", be_hostside, "runs a program", run_a_program, NO },
    { "hostside", be_hostside, "writes a neighbour's memory", write_a_neighbours_memory, NO },
    { "hostside", be_hostside, "signals a neighbour", signal_a_neighbour, EPERM, .version = 6 },

    { "dnsmasq", be_dnsmasq, "keeps its leases", keep_state, FINE },
    { "dnsmasq", be_dnsmasq, "reads what is public", read_what_is_public, FINE },
    { "dnsmasq", be_dnsmasq, "runs a program", run_a_program, FINE },
    { "dnsmasq", be_dnsmasq, "reads what is the system's", read_what_is_the_systems, NO },
    { "dnsmasq", be_dnsmasq, "reads a key", read_a_key, NO },
    { "dnsmasq", be_dnsmasq, "overwrites a key", overwrite_a_key, NO },
    { "dnsmasq", be_dnsmasq, "leaves a file", leave_a_file, NO },
    { "dnsmasq", be_dnsmasq, "listens elsewhere", listen_elsewhere, NO },
    { "dnsmasq", be_dnsmasq, "uses the tap device", use_the_tap_device, NO },
    { "dnsmasq", be_dnsmasq, "writes a sysctl", write_a_sysctl, NO },
    { "dnsmasq", be_dnsmasq, "writes a neighbour's memory", write_a_neighbours_memory, NO },
    { "dnsmasq", be_dnsmasq, "goes around by a neighbour", go_around_by_a_neighbour, NO },
    { "dnsmasq", be_dnsmasq, "signals a neighbour", signal_a_neighbour, EPERM, .version = 6 },

    { "slirp4netns", be_slirp4netns, "uses the tap device", use_the_tap_device, FINE },
    { "slirp4netns", be_slirp4netns, "runs a program", run_a_program, FINE },
    { "slirp4netns", be_slirp4netns, "reads a key", read_a_key, NO },
    { "slirp4netns", be_slirp4netns, "overwrites a key", overwrite_a_key, NO },
    { "slirp4netns", be_slirp4netns, "leaves a file", leave_a_file, NO },
    { "slirp4netns", be_slirp4netns, "connects to a server", connect_to_a_server, NO },
    { "slirp4netns", be_slirp4netns, "writes a neighbour's memory", write_a_neighbours_memory, NO },
    { "slirp4netns", be_slirp4netns, "signals a neighbour", signal_a_neighbour, EPERM,
      .version = 6 },

    { "relay", be_relay, "reads the resolvers", read_resolvers, FINE },
    { "relay", be_relay, "reads a key", read_a_key, NO },
    { "relay", be_relay, "overwrites a key", overwrite_a_key, NO },
    { "relay", be_relay, "leaves a file", leave_a_file, NO },
    { "relay", be_relay, "runs a program", run_a_program, NO },
    { "relay", be_relay, "writes a neighbour's memory", write_a_neighbours_memory, NO },
    { "relay", be_relay, "signals a neighbour", signal_a_neighbour, EPERM, .version = 6 },
};

static int nothing(void)
{
    return 0;
}

/* What came of it in a process of its own; -1: it could not confine itself. */
static int outcome(int (*confine)(void), int (*act)(void))
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(confine() < 0 ? 255 : act());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

static void log_out(int sig)
{
    (void)sig;
    (void)rmdir("login/run"); /* it stands in the home */
    (void)rmdir("login");
}

/* The neighbour is there when it has closed its end. */
static bool move_in(void)
{
    int ends[2];
    char byte;

    assert_int_equal(pipe(ends), 0);
    world.neighbour = fork();
    if (world.neighbour == 0) {
        (void)signal(SIGUSR1, log_out);
        if (chdir(world.home) < 0)
            _exit(1);
        (void)close(ends[0]);
        (void)close(ends[1]);
        for (;;)
            pause();
    }
    (void)close(ends[1]);
    bool there = read(ends[0], &byte, 1) == 0;
    (void)close(ends[0]);
    return there && world.neighbour > 0;
}

static int set_up(void **unused)
{
    (void)unused;
    (void)str_copy(world.home, sizeof world.home, "/tmp/vmnet-files.XXXXXX");
    assert_non_null(mkdtemp(world.home));
    (void)str_copy(world.paths.state, sizeof world.paths.state, at("state"));
    (void)str_copy(world.paths.runtime, sizeof world.paths.runtime, at("login/run"));
    assert_int_equal(mkdir(at("state"), 0700), 0);
    assert_int_equal(mkdir(at("login"), 0700), 0);
    assert_int_equal(mkdir(at("login/run"), 0700), 0);
    assert_int_equal(keep_state(), 0);
    return move_in() ? 0 : -1;
}

static int tear_down(void **unused)
{
    static const char *const left[] = { "state/kept", "state/key", "state/link", "key",   "profile",
                                        "new",        "state",     "login/run",  "login", "" };

    (void)unused;
    (void)kill(world.neighbour, SIGKILL);
    (void)waitpid(world.neighbour, NULL, 0);
    for (size_t i = 0; i < N_ELEMENTS(left); i++)
        (void)remove(at(left[i]));
    return 0;
}

/* Before each act everything is as it was. */
static void put_right(void)
{
    static const char *const made[] = { "profile", "new", "state/link", "state/key" };

    for (size_t i = 0; i < N_ELEMENTS(made); i++)
        (void)remove(at(made[i]));
    assert_int_equal(replace(".", "key"), 0);
}

static void tell(const struct story *story)
{
    put_right();
    int before = outcome(nothing, story->act);
    put_right();
    int got = outcome(story->confine, story->act);

    /* Without it, only what this machine and this user may not do anyhow can fail. */
    if (before != 0 && before != EACCES && before != ENOENT)
        fail_msg("anybody %s: error %d (%s)", story->what, before, strerror(before));
    if (before == 0 && got != story->err)
        fail_msg("%s %s: %d (%s)", story->who, story->what, got, strerror(got));
}

static void files_of_others_are_out_of_reach(void **unused)
{
    (void)unused;
    if (confine_files_version() == 0)
        skip();
    for (size_t i = 0; i < N_ELEMENTS(stories); i++)
        if (confine_files_version() >= stories[i].version)
            tell(&stories[i]);
}

static int be_unable(void)
{
    static const struct file_rule none = { "/nonexistent", FILES_READ };

    (void)setenv("VMNET_BROKER_LANDLOCK", "off", 1);
    return confine_files(&none, 1, 0) == -EOPNOTSUPP ? 0 : -1;
}

static int be_netd_without(void)
{
    (void)setenv("VMNET_BROKER_LANDLOCK", "off", 1);
    return be_netd();
}

static void where_there_is_none_life_goes_on(void **unused)
{
    (void)unused;
    put_right();
    assert_int_equal(outcome(be_unable, overwrite_a_key), 0);
    assert_int_equal(outcome(be_netd_without, overwrite_a_key), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_others_are_out_of_reach),
        cmocka_unit_test(where_there_is_none_life_goes_on),
    };

    (void)unsetenv("VMNET_BROKER_LANDLOCK");
    return cmocka_run_group_tests_name("sandbox_files", tests, set_up, tear_down);
}
