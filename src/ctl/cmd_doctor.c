/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_doctor.c - says what this machine lacks, and the remedy.
 *
 * It tries instead of guessing: makes a namespace and uses it, opens the TAP device, asks
 * each program for its version. Only when a thing is refused it looks for who refuses.
 * No broker is needed, none is started, and nothing stays behind.
 */
#include "accounts.h"
#include "call.h"
#include "fd.h"
#include "mem.h"
#include "paths.h"
#include "start.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

DEFINE_AUTO(json_t *, json_decref);

#define WMEM_WANTED (2ul << 20) /* below it pasta's upload stalls at 1 ms and more of RTT */

enum result { FINE, WARNING, MISSING };

static const char *const result_names[] = { "ok", "warning", "missing" };

struct finding {
    enum result result;
    char what[256], remedy[512];
};

struct exam {
    const struct ctl *ctl;
    struct finding finding; /* of the check that runs */
};

__attribute__((format(printf, 3, 4))) static void found(struct exam *e, enum result result,
                                                        const char *fmt, ...)
{
    va_list ap;
    e->finding.result = result;
    va_start(ap, fmt);
    (void)vsnprintf(e->finding.what, sizeof e->finding.what, fmt, ap);
    va_end(ap);
}

__attribute__((format(printf, 2, 3))) static void remedy(struct exam *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e->finding.remedy, sizeof e->finding.remedy, fmt, ap);
    va_end(ap);
}

/* ---- the kernel ---- */

/* -1: no such knob. */
static long knob(const char *path)
{
    char text[32];
    unsigned long value;
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return -1;
    text[n - (text[n - 1] == '\n')] = '\0';
    return str_to_uint(text, 0, LONG_MAX, &value) < 0 ? -1 : (long)value;
}

/* In a child: AppArmor lets the namespace be made and then takes its powers away, so the
 * proof is to use one of them. */
static int try_namespace(void)
{
    struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return errno;
    AUTO_FD fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &loopback) < 0 ? errno : 0;
}

/* Returns 0 or a positive errno. */
static int namespace_refusal(void)
{
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return errno;
    if (pid == 0)
        _exit(try_namespace());
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static void check_namespaces(struct exam *e)
{
    int err = namespace_refusal();
    if (err == 0) {
        found(e, FINE, "user namespaces can be made, with networks of their own");
        return;
    }
    found(e, MISSING, "user namespaces with networks of their own are refused: %s", strerror(err));
    if (knob("/proc/sys/kernel/unprivileged_userns_clone") == 0)
        remedy(e, "as root: sysctl -w kernel.unprivileged_userns_clone=1");
    else if (knob("/proc/sys/user/max_user_namespaces") == 0)
        remedy(e, "as root: sysctl -w user.max_user_namespaces=15000");
    else if (knob("/proc/sys/user/max_net_namespaces") == 0)
        remedy(e, "as root: sysctl -w user.max_net_namespaces=15000");
    else if (knob("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
        remedy(e, "AppArmor restricts them: give vmnet-netd a profile with 'userns,', or as root: "
                  "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
    else
        remedy(e, "a container or a security module forbids it; allow unshare(2) there");
}

static void check_tun(struct exam *e)
{
    AUTO_FD fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    int err = errno;
    if (fd >= 0) {
        found(e, FINE, "/dev/net/tun opens");
        return;
    }
    found(e, MISSING, "/dev/net/tun: %s", strerror(err));
    if (err == EACCES || err == EPERM)
        remedy(e, "as root: chmod 0666 /dev/net/tun, which is udev's default");
    else
        remedy(e, "as root: modprobe tun");
}

/* For finding out, and then forgotten. */
static bool switched_off(struct exam *e, const char *variable)
{
    const char *value = getenv(variable);
    if (!value || !*value)
        return false;
    found(e, WARNING, "%s=%.20s is set: what is started now confines itself less", variable, value);
    remedy(e, "unset %s; vmnet-brokerctl stop", variable);
    return true;
}

static void check_sandbox(struct exam *e)
{
    const unsigned kill_process = SECCOMP_RET_KILL_PROCESS;
    long landlock =
        syscall(SYS_landlock_create_ruleset, NULL, 0, 1); /* 1: just say which version */
    if (switched_off(e, "VMNET_BROKER_SECCOMP") || switched_off(e, "VMNET_BROKER_LANDLOCK"))
        return;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill_process) < 0) {
        found(e, MISSING, "system calls cannot be filtered here (seccomp): %s", strerror(errno));
        remedy(e, "a kernel with CONFIG_SECCOMP_FILTER, or a container that allows it");
    } else if (landlock < 1) {
        found(e, WARNING, "files cannot be confined here (Landlock): %s", strerror(errno));
        remedy(e, "Linux 5.13 or newer with landlock in lsm=, or a container that allows it; "
                  "until then dnsmasq and vmnet-netd could touch whatever files you can");
    } else {
        found(e, FINE, "system calls (seccomp) and files (Landlock %ld) can be confined", landlock);
    }
}

/* ---- programs ---- */

static bool executable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* In PATH, and where daemons are but an ordinary user's PATH does not lead. */
static bool find_program(const char *name, char *ret, size_t size)
{
    char dirs[4096];
    const char *path = getenv("PATH");
    if (str_format(dirs, sizeof dirs, "%s:/usr/local/sbin:/usr/sbin:/sbin", path ? path : "") < 0)
        return false;
    char *rest = dirs;
    for (const char *dir; (dir = strsep(&rest, ":"));)
        if (dir[0] == '/' && str_format(ret, size, "%s/%s", dir, name) == 0 && executable(ret))
            return true;
    return false;
}

/* The first line of PROGRAM --version. */
static void ask_version(const char *program, char *ret, size_t size)
{
    int ends[2], status;
    ret[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    AUTO_FD reader = ends[0];
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], 1);
        (void)dup2(ends[1], 2);
        execl(program, program, "--version", (char *)NULL);
        _exit(EXIT_NO_SUCH_COMMAND);
    }
    (void)close(ends[1]);
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    FILE *in = fdopen(reader, "r");
    if (in) {
        (void)fd_take(&reader);
        ssize_t n = getline(&line, &room, in);
        if (n > 0)
            (void)snprintf(ret, size, "%.*s", (int)strcspn(line, "\n"), line);
        (void)fclose(in);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
}

/* What `--version` says, without the copyright; false when the program is not there. */
static bool describe_program(const char *name, char *ret, size_t size)
{
    char path[PATH_MAX], version[128];
    if (!find_program(name, path, sizeof path))
        return false;
    ask_version(path, version, sizeof version);
    char *more = strstr(version, "  ");
    if (more)
        *more = '\0';
    (void)snprintf(ret, size, "%.100s (%.80s)", path, version[0] ? version : "version unknown");
    return true;
}

static void check_broker_program(struct exam *e)
{
    char path[PATH_MAX] = "", full[PATH_MAX];
    start_find_program(path, sizeof path);
    bool there = strchr(path, '/') ? executable(path) : find_program(path, full, sizeof full);
    if (there) {
        found(e, FINE, "%.200s", strchr(path, '/') ? path : full);
        return;
    }
    found(e, MISSING, "the program vmnet-broker is not found");
    remedy(e, "install it beside vmnet-brokerctl, or set VMNET_BROKER_PROGRAM");
}

static void check_dnsmasq(struct exam *e)
{
    char text[200];
    if (describe_program("dnsmasq", text, sizeof text)) {
        found(e, FINE, "%s", text);
        return;
    }
    found(e, MISSING, "dnsmasq is not installed; VMs get addresses and names from it");
    remedy(e, "as root: apt install dnsmasq-base (the package dnsmasq would start a service)");
}

/* One is enough. */
static void check_engine(struct exam *e)
{
    char pasta[120] = "", slirp[120] = "";
    bool have_pasta = describe_program("pasta", pasta, sizeof pasta);
    bool have_slirp = describe_program("slirp4netns", slirp, sizeof slirp);
    if (have_pasta || have_slirp) {
        found(e, FINE, "%.120s%s%.120s", pasta, have_pasta && have_slirp ? ", " : "", slirp);
        return;
    }
    found(e, MISSING, "neither pasta nor slirp4netns is installed; VMs have no way out");
    remedy(e, "as root: apt install passt, or apt install slirp4netns");
}

static void check_wmem(struct exam *e)
{
    char path[PATH_MAX];
    long wmem = knob("/proc/sys/net/core/wmem_max");
    if (wmem < 0) /* not shown in a namespace */
        found(e, FINE, "net.core.wmem_max cannot be seen from here");
    else if ((unsigned long)wmem >= WMEM_WANTED)
        found(e, FINE, "net.core.wmem_max is %ld, enough for pasta", wmem);
    else if (find_program("slirp4netns", path, sizeof path))
        found(e, FINE, "net.core.wmem_max is %ld, too little for pasta: slirp4netns is used", wmem);
    else {
        found(e, WARNING, "net.core.wmem_max is %ld: uploads through pasta will be slow", wmem);
        remedy(e, "as root: apt install slirp4netns, or sysctl -w net.core.wmem_max=%lu",
               WMEM_WANTED);
    }
}

/* ---- directories ---- */

/* Could it be made, or is it ours? Makes nothing. */
static int usable(const char *path)
{
    struct stat st;
    char part[PATH_MAX];
    if (lstat(path, &st) == 0)
        return !S_ISDIR(st.st_mode)                                ? -ENOTDIR
               : st.st_uid != geteuid() || (st.st_mode & 022) != 0 ? -EPERM
                                                                   : 0;
    if (errno != ENOENT || str_copy(part, sizeof part, path) < 0)
        return -errno;
    for (char *slash; (slash = strrchr(part, '/')) && slash > part;) {
        *slash = '\0';
        if (access(part, W_OK | X_OK) == 0)
            return 0;
        if (errno != ENOENT)
            break;
    }
    return -errno;
}

static void check_directory(struct exam *e, const char *path, const char *variable)
{
    int r = usable(path);
    if (r == 0) {
        found(e, FINE, "%.200s", path);
        return;
    }
    found(e, MISSING, "%.160s cannot be used: %s", path, strerror(-r));
    remedy(e,
           "it must be a directory of your own that nobody else can write; "
           "or set %s to another place",
           variable);
}

static void check_runtime(struct exam *e)
{
    struct paths paths;
    if (paths_user(&paths) == -ENAMETOOLONG) {
        found(e, MISSING, "XDG_RUNTIME_DIR is too long for a socket's path");
        remedy(e, "set XDG_RUNTIME_DIR to a shorter path");
        return;
    }
    check_directory(e, paths.runtime, "XDG_RUNTIME_DIR");
}

static void check_state(struct exam *e)
{
    struct paths paths;
    if (paths_user(&paths) == -ENOENT) {
        found(e, MISSING, "neither XDG_STATE_HOME nor HOME says where state belongs");
        remedy(e, "set HOME");
        return;
    }
    check_directory(e, paths.state, "XDG_STATE_HOME");
}

/* ---- the system instance ---- */

/* Somebody has installed one, or asks for it. */
static bool system_matters(const struct exam *e)
{
    struct paths paths;
    char socket[128];

    paths_system(&paths);
    return e->ctl->choice == ENDPOINT_SYSTEM ||
           (paths_own_socket(&paths, socket, sizeof socket) == 0 && access(socket, F_OK) == 0);
}

static bool in_group(gid_t gid)
{
    gid_t groups[1024];
    int n = getgroups((int)N_ELEMENTS(groups), groups);

    for (int i = 0; i < n; i++)
        if (groups[i] == gid)
            return true;
    return getegid() == gid || geteuid() == 0;
}

static void check_system(struct exam *e)
{
    char name[ACCOUNT_NAME_SIZE];
    uid_t uid;
    gid_t gid;

    if (!system_matters(e)) {
        found(e, FINE, "there is none, and nobody needs one");
    } else if (account_user("vmnet-broker", &uid) < 0 || account_user("vmnet-netd", &uid) < 0 ||
               account_group("vmnet", &gid) < 0) {
        found(e, MISSING, "it needs the users vmnet-broker and vmnet-netd and the group vmnet");
        remedy(e, "systemd-sysusers, as root");
    } else if (!in_group(gid)) {
        found(e, e->ctl->choice == ENDPOINT_SYSTEM ? MISSING : WARNING,
              "you are not in group vmnet, whose members may use it");
        remedy(e, "usermod -aG vmnet %s, as root; then log in again",
               account_user_name(geteuid(), name));
    } else {
        found(e, FINE, "its users and group are there, and you may use it");
    }
}

/* ---- the broker ---- */

static void check_broker(struct exam *e)
{
    AUTO_CONNECTION c = CONNECTION_INIT;
    AUTO_REPLY reply = REPLY_INIT;
    struct failure why = { 0 };
    int r = endpoint_connect(&c, e->ctl->choice, false, NULL, &why);
    if (r == -ENOTCONN) {
        if (e->ctl->choice == ENDPOINT_SYSTEM) {
            found(e, MISSING, "the system's broker does not run");
            remedy(e, "systemctl enable --now vmnet-broker.socket vmnet-netd.socket");
        } else {
            found(e, FINE, "none is running; acquiring a network starts one");
        }
        return;
    }
    if (r == 0)
        r = connection_call(&c, "Status", NULL, &reply);
    if (r < 0 || reply.error != STATUS_SUCCESS) {
        found(e, MISSING, "%s", why.why[0] ? why.why : "a broker runs but does not answer");
        remedy(e, "its log may know why: vmnet-broker(8) says where it is");
        return;
    }
    const json_t *broker = json_object_get(reply.parameters, "broker");
    const json_t *problem = json_array_get(json_object_get(broker, "problems"), 0);
    const char *instance = json_string_value(json_object_get(broker, "instance"));
    if (problem) {
        const char *words = json_string_value(problem);
        found(e, WARNING, "%.200s", words ? words : "?");
        remedy(e, "vmnet-brokerctl status has more");
        return;
    }
    found(e, FINE, "the %s instance answers", instance ? instance : "?");
}

/* ---- all of it ---- */

static const struct check {
    const char *name;
    void (*run)(struct exam *e);
    bool of_user; /* a system instance has no use for it */
} checks[] = {
    { "namespaces", check_namespaces }, { "tun", check_tun },
    { "sandbox", check_sandbox },       { "vmnet-broker", check_broker_program },
    { "dnsmasq", check_dnsmasq },       { "uplink", check_engine },
    { "wmem_max", check_wmem },         { "runtime", check_runtime, true },
    { "state", check_state, true },     { "system", check_system },
    { "broker", check_broker },
};

static void print_finding(const struct check *check, const struct finding *f)
{
    printf("%-8s  %-13s %s\n", result_names[f->result], check->name, f->what);
    if (f->remedy[0])
        printf("          %-13s remedy: %s\n", "", f->remedy);
}

static int note_finding(json_t *list, const struct check *check, const struct finding *f)
{
    return json_array_append_new(list,
                                 json_pack("{s:s, s:s, s:s, s:s*}", "check", check->name, "result",
                                           result_names[f->result], "message", f->what, "remedy",
                                           f->remedy[0] ? f->remedy : NULL));
}

int cmd_doctor(struct ctl *ctl, int argc, char **argv)
{
    int r = common_options(ctl, argc, argv, false, 0, 0);
    if (r >= 0)
        return r;
    AUTO(json_decref) json_t *list = json_array();
    enum result worst = FINE;
    for (size_t i = 0; i < N_ELEMENTS(checks); i++) {
        struct exam exam = { .ctl = ctl };
        if (checks[i].of_user && ctl->choice == ENDPOINT_SYSTEM)
            continue;
        checks[i].run(&exam);
        if (exam.finding.result > worst)
            worst = exam.finding.result;
        if (!ctl->json)
            print_finding(&checks[i], &exam.finding);
        else if (note_finding(list, &checks[i], &exam.finding) < 0)
            return EXIT_FAILED;
    }
    if (ctl->json && print_json(list) != EXIT_OK)
        return EXIT_FAILED;
    return worst == MISSING ? EXIT_FAILED : EXIT_OK;
}
