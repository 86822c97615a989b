/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_kernel.c - what the kernel lets an ordinary user do. */
#include "doctor.h"

#include "fd.h"
#include "str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

long doctor_knob(const char *path)
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

void doctor_namespaces(struct exam *e)
{
    int err = namespace_refusal();
    if (err == 0) {
        doctor_found(e, FINE, "user namespaces can be made, with networks of their own");
        return;
    }
    doctor_found(e, MISSING, "user namespaces with networks of their own are refused: %s",
                 strerror(err));
    if (doctor_knob("/proc/sys/kernel/unprivileged_userns_clone") == 0)
        doctor_remedy(e, "as root: sysctl -w kernel.unprivileged_userns_clone=1");
    else if (doctor_knob("/proc/sys/user/max_user_namespaces") == 0)
        doctor_remedy(e, "as root: sysctl -w user.max_user_namespaces=15000");
    else if (doctor_knob("/proc/sys/user/max_net_namespaces") == 0)
        doctor_remedy(e, "as root: sysctl -w user.max_net_namespaces=15000");
    else if (doctor_knob("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
        doctor_remedy(
            e, "AppArmor restricts them: give vmnet-netd a profile with 'userns,', or as root: "
               "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
    else
        doctor_remedy(e, "a container or a security module forbids it; allow unshare(2) there");
}

void doctor_tun(struct exam *e)
{
    AUTO_FD fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    int err = errno;
    if (fd >= 0) {
        doctor_found(e, FINE, "/dev/net/tun opens");
        return;
    }
    doctor_found(e, MISSING, "/dev/net/tun: %s", strerror(err));
    if (err == EACCES || err == EPERM)
        doctor_remedy(e, "as root: chmod 0666 /dev/net/tun, which is udev's default");
    else
        doctor_remedy(e, "as root: modprobe tun");
}

/* For finding out, and then forgotten. */
static bool switched_off(struct exam *e, const char *variable)
{
    const char *value = getenv(variable);
    if (!value || !*value)
        return false;
    doctor_found(e, WARNING, "%s=%.20s is set: what is started now confines itself less", variable,
                 value);
    doctor_remedy(e, "unset %s; vmnet-brokerctl stop", variable);
    return true;
}

void doctor_sandbox(struct exam *e)
{
    const unsigned kill_process = SECCOMP_RET_KILL_PROCESS;
    long landlock =
        syscall(SYS_landlock_create_ruleset, NULL, 0, 1); /* 1: just say which version */
    if (switched_off(e, "VMNET_BROKER_SECCOMP") || switched_off(e, "VMNET_BROKER_LANDLOCK"))
        return;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill_process) < 0) {
        doctor_found(e, MISSING, "system calls cannot be filtered here (seccomp): %s",
                     strerror(errno));
        doctor_remedy(e, "a kernel with CONFIG_SECCOMP_FILTER, or a container that allows it");
    } else if (landlock < 1) {
        doctor_found(e, WARNING, "files cannot be confined here (Landlock): %s", strerror(errno));
        doctor_remedy(e,
                      "Linux 5.13 or newer with landlock in lsm=, or a container that allows it; "
                      "until then dnsmasq and vmnet-netd could touch whatever files you can");
    } else {
        doctor_found(e, FINE, "system calls (seccomp) and files (Landlock %ld) can be confined",
                     landlock);
    }
}
