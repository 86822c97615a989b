/* SPDX-License-Identifier: Apache-2.0 */
/* workshop.c - the spawner process: a loop behind a socket pair. */
#include "workshop.h"

#include "anchor.h"
#include "confine.h"
#include "dnsmasq_sandbox.h"
#include "fd.h"
#include "holders.h"
#include "log.h"
#include "mem.h"
#include "orphans.h"
#include "packet.h"
#include "partner.h"
#include "server.h"
#include "signals.h"
#include "spawner.h"
#include "str.h"

#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* The namespace's name leads to the anchor's, for as long as that one lives. Without it everything
 * works but `ip netns`. */
static void name_namespace(const struct workshop *shop)
{
    const char *link = shop->setup.netns_link;
    char target[64];

    if (!link)
        return;
    (void)str_format(target, sizeof target, "/proc/%d/ns/net", (int)shop->anchor);
    (void)unlink(link);
    if (symlink(target, link) < 0)
        (void)log_failure(-errno, "cannot name the network namespace: %s", link);
}

static int unname_namespace(const struct workshop *shop)
{
    if (shop->setup.netns_link && unlink(shop->setup.netns_link) < 0 && errno != ENOENT)
        return -errno;
    return 0;
}

/* Forks a child, which waits for netd's word. */
static int start_child(struct workshop *shop, const struct order *order, const int *fds,
                       struct answer *ret, int ret_fds[static RESULTS])
{
    AUTO_FD leash = -1, pidfd = -1;
    struct process child = { 0 };
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    leash = ends[0];
    (void)packet_set_patience(leash); /* netd reads there */
    child.pid = fork();
    if (child.pid == 0) {
        (void)close(leash);
        child_main(shop, order, fds, ends[1]);
    }
    int err = errno;
    (void)close(ends[1]);
    if (child.pid < 0)
        return -err;
    pidfd = pidfd_open(child.pid, 0); /* even a corpse waits for us to reap it */
    if (pidfd < 0)
        return -errno;
    if (process_born(child.pid, &child.born) < 0)
        return -ESRCH;
    if (order->kind == CHILD_ANCHOR) {
        shop->anchor = child.pid;
        name_namespace(shop);
    }
    ret->pid = child.pid;
    ret->born = child.born;
    ret_fds[RESULT_PIDFD] = fd_take(&pidfd);
    ret_fds[RESULT_LEASH] = fd_take(&leash);
    return 0;
}

/* netd's socket, there or gone. */
static int listen_for_netd(const struct workshop *shop, bool wanted, int *ret_fd)
{
    if (!shop->setup.socket_path)
        return -ENOTSUP;
    if (!wanted)
        return server_unlisten(shop->setup.socket_path);
    *ret_fd = server_listen(shop->setup.socket_path);
    return *ret_fd < 0 ? *ret_fd : 0;
}

static int admit(const struct workshop *shop, int fd)
{
    struct ucred cred;
    socklen_t len = sizeof cred;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    return cred.uid == 0 || cred.uid == shop->setup.broker ? 0 : -EPERM;
}

static int obey(struct workshop *shop, const struct order *order, const int *fds, size_t n,
                struct answer *ret, int ret_fds[static RESULTS])
{
    if (order->n_fds != n)
        return -EPROTO;
    if (order->kind < CHILD_KINDS)
        return start_child(shop, order, fds, ret, ret_fds);
    if (order->kind == ORDER_FIND_HOLDER) {
        ret->pid = holders_find(order->network, order->taps);
        return 0;
    }
    if (order->kind == ORDER_SWEEP_ORPHANS) {
        ret->pid = orphans_sweep(shop->setup.state_path, shop->born, shop->setup.uplink.uid);
        return 0;
    }
    if (order->kind == ORDER_LISTEN || order->kind == ORDER_UNLISTEN)
        return listen_for_netd(shop, order->kind == ORDER_LISTEN, &ret_fds[0]);
    if (order->kind == ORDER_UNNAME)
        return unname_namespace(shop);
    if (order->kind == ORDER_ADMIT)
        return n == 1 ? admit(shop, fds[0]) : -EPROTO;
    if (order->kind == ORDER_PORT) {
        ret_fds[0] = host_port_open(&order->port);
        return ret_fds[0] < 0 ? ret_fds[0] : 0;
    }
    return -EPROTO;
}

static int serve_one(struct workshop *shop)
{
    struct answer answer = { 0 };
    struct order order;
    int fds[PACKET_FDS], results[RESULTS] = { -1, -1 };
    size_t n = 0, n_results = 0;
    int r;

    r = packet_receive(shop->sock, &order, sizeof order, fds, &n);
    if (r == 0)
        answer.err = obey(shop, &order, fds, n, &answer, results);
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
    if (r < 0)
        return r;
    while (n_results < RESULTS && results[n_results] >= 0)
        n_results++;
    r = packet_send(shop->sock, &answer, sizeof answer, results, n_results);
    for (size_t i = 0; i < RESULTS; i++)
        fd_closep(&results[i]);
    return r;
}

/* Who has ended is reaped, and who has been stopped serves nobody: stopped.h. A number is nobody
 * else's until we have reaped it. */
static void look_after_children(void)
{
    siginfo_t info = { 0 };

    while (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG) == 0 && info.si_pid != 0) {
        if (info.si_code == CLD_STOPPED) {
            log_warning("process %d has been stopped; killing it", (int)info.si_pid);
            (void)kill(info.si_pid, SIGKILL);
        }
        info.si_pid = 0;
    }
}

_Noreturn void workshop_main(struct workshop *shop)
{
    struct signalfd_siginfo ignored;
    struct pollfd on[2];
    sigset_t child;

    partner_begin("vmnet-spawner");
    /* What we start makes calls that we do not know, and inherits this: so it can only be
     * what nobody here ever needs. Who owns the namespaces may enter them without capabilities;
     * root's opens ports below 1024 to forward them, and looks into VMs that have all of root's
     * capabilities (holders.h). */
    static const int of_root[] = { CAP_NET_BIND_SERVICE, CAP_SYS_PTRACE };
    int r = confine_to_capabilities(of_root, N_ELEMENTS(of_root));
    if (r == 0)
        r = confine_not(calls_never);
    if (r == 0)
        r = dnsmasq_sandbox_prepare(&shop->dnsmasq);
    if (r < 0) {
        log_failure(r, "the spawner cannot confine itself");
        _exit(1);
    }
    name_namespace(shop);
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    on[0] = (struct pollfd){ .fd = shop->sock, .events = POLLIN };
    on[1] =
        (struct pollfd){ .fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN };
    while (poll(on, 2, -1) > 0 || errno == EINTR) {
        if (on[1].revents && read(on[1].fd, &ignored, sizeof ignored) > 0)
            look_after_children();
        if (on[0].revents && serve_one(shop) < 0)
            break;
    }
    _exit(0);
}
