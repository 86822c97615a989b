/* SPDX-License-Identifier: Apache-2.0 */
#include "bare.h"
#include "detour.h"
#include "dhcp.h"
#include "knobs.h"
#include "link.h"
#include "measure.h"
#include "nft.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the bare server --------------------------------------------------------- */

static void serve(int sock, const char *reply, size_t reply_len, int epoll)
{
    char buf[4096];
    ssize_t n = read(sock, buf, sizeof buf);
    if (n <= 0) {
        (void)epoll_ctl(epoll, EPOLL_CTL_DEL, sock, NULL);
        close(sock);
    } else if (buf[n - 1] == '\0') {
        (void)!write(sock, reply, reply_len);
    }
}

static _Noreturn void server_main(int listener, size_t reply_len)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    char *reply = calloc(1, reply_len);
    if (!reply)
        give_up("no memory");
    memset(reply, 'x', reply_len - 1);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = { .events = EPOLLIN, .data.fd = listener };
    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
    while (epoll_wait(epoll, &e, 1, -1) == 1) {
        if (e.data.fd != listener) {
            serve(e.data.fd, reply, reply_len, epoll);
            continue;
        }
        struct epoll_event peer = { .events = EPOLLIN };
        peer.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (peer.data.fd >= 0)
            (void)epoll_ctl(epoll, EPOLL_CTL_ADD, peer.data.fd, &peer);
    }
    _exit(1);
}

int bare_server_start(const char *path, size_t reply_len)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof addr.sun_path)
        give_up("socket path too long: %s", path);
    strcpy(addr.sun_path, path);
    (void)unlink(path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof addr) < 0 ||
        listen(listener, 64) < 0)
        give_up("cannot serve %s: %s", path, strerror(errno));
    int pid = fork();
    if (pid == 0)
        server_main(listener, reply_len);
    close(listener);
    return pid;
}

void bare_end(int pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

/* --- the bare network -------------------------------------------------------- */

struct bare_net {
    int pid, sock;
};

static const struct mac bridge_mac = { { 0x52, 0x54, 0, 1, 0, 1 } };
static const struct mac vm_mac = { { 0x52, 0x54, 0, 1, 0, 2 } };

static void must(int r, const char *what)
{
    if (r < 0)
        give_up("bare network: %s: %s", what, strerror(-r));
}

static int start_dnsmasq(void)
{
    int pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("dnsmasq", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts",
               "--no-resolv", "--no-ping", "--dhcp-authoritative", "--bind-dynamic",
               "--except-interface=lo", "--interface=bench0", "--leasefile-ro",
               "--log-facility=/dev/null", "--user=root",
               "--pid-file=", "--dhcp-range=10.9.9.2,10.9.9.200", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int attach_tap(struct link_ctx *links, const char *name)
{
    int fd = -1;
    must(tap_create(name, 1, true, &fd), "tap");
    must(link_set_port(links, name, "bench0", 1500, 0), "attach");
    must(link_set_up(links, name), "up");
    return fd;
}

static void add_bridge(struct link_ctx *links)
{
    must(link_add_bridge(links, "bench0", bridge_mac, 1500, 0), "bridge");
    must(link_add_addr4(links, "bench0", 0x0a090901, 24), "address");
    must(link_set_up(links, "bench0"), "up");
}

static double first_offer(struct link_ctx *links, struct nft *nft)
{
    double start = now_usec();
    add_bridge(links);
    must(nft_run(nft, "table inet bench {\n chain post {\n"
                      " type nat hook postrouting priority 100; policy accept;\n"
                      " ip saddr 10.9.9.0/24 masquerade\n }\n}\n"),
         "rules");
    int dnsmasq = start_dnsmasq();
    int tap = attach_tap(links, "benchtap");
    dhcp_await_offer(tap, vm_mac);
    double took = now_usec() - start;
    bare_end(dnsmasq);
    close(tap);
    must(link_delete(links, "bench0"), "delete");
    must(nft_run(nft, "delete table inet bench"), "delete rules");
    return took;
}

static double one_tap(struct link_ctx *links)
{
    add_bridge(links);
    usleep(50000); /* as before ours: both meet cold caches and a clock that was asleep */
    double start = now_usec();
    int tap = attach_tap(links, "benchtap");
    double took = now_usec() - start;
    close(tap);
    must(link_delete(links, "bench0"), "delete");
    return took;
}

static struct link_ctx *enter_namespace(void)
{
    if (unshare(CLONE_NEWNET) < 0)
        give_up("unshare: %s (the bench runs as root in a namespace of its own)", strerror(errno));
    struct link_ctx *links;
    must(link_open(&links), "netlink");
    must(link_set_up(links, "lo"), "lo");
    return links;
}

static _Noreturn void net_main(int sock)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct link_ctx *links = enter_namespace();
    struct nft *nft = nft_new();
    char what;
    while (nft && read(sock, &what, 1) == 1) {
        double took = what == 'o' ? first_offer(links, nft) : one_tap(links);
        (void)!write(sock, &took, sizeof took);
    }
    _exit(0);
}

struct bare_net *bare_net_start(void)
{
    struct bare_net *net = calloc(1, sizeof *net);
    int pair[2];
    if (!net || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        give_up("no memory");
    net->pid = fork();
    if (net->pid == 0) {
        close(pair[0]);
        net_main(pair[1]);
    }
    close(pair[1]);
    net->sock = pair[0];
    return net;
}

static double ask(struct bare_net *net, char what)
{
    double took;
    if (write(net->sock, &what, 1) != 1 || read(net->sock, &took, sizeof took) != sizeof took)
        give_up("the bare network ended");
    return took;
}

double bare_net_first_offer(struct bare_net *net)
{
    return ask(net, 'o');
}

double bare_net_tap(struct bare_net *net)
{
    return ask(net, 't');
}

void bare_net_stop(struct bare_net *net)
{
    close(net->sock);
    bare_end(net->pid);
    free(net);
}

/* What a bridge hands to iptables, where the kernel can, is not a bridge's own work. */
static void keep_from_iptables(void)
{
    (void)sysctl_set("bridge/bridge-nf-call-iptables", "0");
    (void)sysctl_set("bridge/bridge-nf-call-ip6tables", "0");
    (void)sysctl_set("bridge/bridge-nf-call-arptables", "0");
}

void bare_bridge_enter(bool detour, int *taps, size_t n)
{
    enum { GROUP = 1 };
    struct link_ctx *links = enter_namespace();
    keep_from_iptables();
    add_bridge(links);
    if (detour)
        must(detour_make(links, "benchdetour", GROUP, 1500), "detour");
    for (size_t i = 0; i < n; i++) {
        char name[sizeof "benchtap" + 3 * sizeof i];
        (void)snprintf(name, sizeof name, "benchtap%zu", i);
        taps[i] = attach_tap(links, name);
        if (detour)
            must(detour_join(links, link_index(links, name), GROUP), "join the detour");
    }
    link_close(links);
}
