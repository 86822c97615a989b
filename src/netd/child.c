/* SPDX-License-Identifier: Apache-2.0 */
/* child.c - what a child of the spawner does on its way to the program that it should be. */
#include "workshop.h"

#include "anchor.h"
#include "dnsmasq_sandbox.h"
#include "engine.h"
#include "fd.h"
#include "forwarder.h"
#include "packet.h"
#include "program.h"
#include "relay.h"
#include "signals.h"
#include "spawner.h"
#include "str.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What a child needs on its way, behind what is passed to it; closed by exec(). */
enum { LEASH, USERNS, NETNS, OWN };

/* Standard descriptors: nothing to read, nothing to write to, netd's log. The passed ones
 * become 3, 4, ...; after them come our own, and their new numbers into `own`. */
static int arrange_fds(const int *fds, size_t n_fds, int own[static OWN])
{
    int high[PACKET_FDS + OWN];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
        return -errno;
    for (size_t i = 0; i < n_fds + OWN; i++) {
        high[i] = fcntl(i < n_fds ? fds[i] : own[i - n_fds], F_DUPFD_CLOEXEC, 16);
        if (high[i] < 0)
            return -errno;
    }
    for (size_t i = 0; i < n_fds + OWN; i++) {
        int fd = dup3(high[i], 3 + (int)i, i < n_fds ? 0 : O_CLOEXEC);

        if (fd < 0)
            return -errno;
        if (i >= n_fds)
            own[i - n_fds] = fd;
    }
    return close_range(3 + (unsigned)n_fds + OWN, ~0U, 0) < 0 ? -errno : 0;
}

static int exec_program(const char *path, char *const *argv)
{
    static char env_path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", env_locale[] = "LC_ALL=C";
    char *const env[] = { env_path, env_locale, NULL };

    (void)execve(path, argv, env);
    return -errno;
}

/* What dnsmasq needs in the namespace, and nothing else, across exec(). */
static int keep_network_capabilities(void)
{
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_updatev(CAPNG_ADD,
                      CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_AMBIENT |
                          CAPNG_BOUNDING_SET,
                      CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, -1) < 0)
        return -EPERM;
    return capng_apply(CAPNG_SELECT_ALL) < 0 ? -EPERM : 0;
}

/* What a child will do when it gets the word. */
union plan {
    struct {
        char path[64], conf[4200];
        char *argv[5];
    } dnsmasq;
    struct engine_argv engine;
    int forwarder; /* its socket in netd's directory */
};

static int plan_dnsmasq(const struct workshop *shop, uint32_t network, const int *own,
                        union plan *plan)
{
    static char name[] = "dnsmasq", foreground[] = "--keep-in-foreground", user[] = "--user=";
    char *const argv[] = { name, foreground, user, plan->dnsmasq.conf, NULL };
    char directory[4120];
    int r;

    memcpy(plan->dnsmasq.argv, argv, sizeof argv);
    r = program_of_system("dnsmasq", plan->dnsmasq.path, sizeof plan->dnsmasq.path);
    if (r == 0)
        r = str_format(directory, sizeof directory, "%s/%u", shop->setup.state_path, network);
    if (r == 0)
        r = str_format(plan->dnsmasq.conf, sizeof plan->dnsmasq.conf, "--conf-file=%s/dnsmasq.conf",
                       directory);
    if (r == 0)
        r = anchor_enter_by(own[USERNS], own[NETNS]);
    if (r == 0)
        r = keep_network_capabilities();
    return r < 0 ? r : dnsmasq_sandbox_enter(&shop->dnsmasq, directory);
}

static int plan_forwarder(const struct workshop *shop, const int *own, union plan *plan)
{
    AUTO_FD dirfd = open(shop->setup.state_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = dirfd < 0 ? -errno : forwarder_bind(dirfd);

    plan->forwarder = r;
    return r < 0 ? r : anchor_enter_by(own[USERNS], own[NETNS]);
}

/* Where nobody sees its interface go, it would go on by another: so it ends with netd (and the
 * spawner, whose child it is). Any other lives on, and VMs notice nothing. */
static int end_with_netd(void)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
}

/* pasta enters the rest of the way by itself; its sockets are the host's. slirp4netns would enter
 * both namespaces, as their owner, so it stays that one. */
static int become_uplink_user(const struct workshop *shop, const int *own)
{
    if (setns(own[USERNS], CLONE_NEWUSER) < 0)
        return -errno;
    return uplink_user_become_engine(&shop->setup.uplink);
}

/* slirp4netns keeps two of our own descriptors, by which it finds the namespaces. */
static int plan_engine(const struct workshop *shop, const struct order *order, const int *own,
                       union plan *plan)
{
    enum child_kind kind = (enum child_kind)order->kind;
    bool other_user = kind == CHILD_PASTA && shop->setup.uplink.uid != 0;
    const struct engine_way way = { .slot = order->network,
                                    .interface = order->interface,
                                    .anchor = shop->anchor,
                                    .inside = other_user,
                                    .userns = own[USERNS],
                                    .netns = own[NETNS] };
    int r = -EINVAL;

    if (memchr(order->interface, '\0', sizeof order->interface))
        r = engine_argv(kind, &way, getuid(), &plan->engine);
    if (r == 0 && kind == CHILD_SLIRP4NETNS &&
        (fcntl(way.userns, F_SETFD, 0) < 0 || fcntl(way.netns, F_SETFD, 0) < 0))
        r = -errno;
    if (r == 0 && other_user)
        r = become_uplink_user(shop, own);
    if (r == 0 && order->interface[0]) /* and not before: who becomes another, forgets it */
        r = end_with_netd();
    return r < 0 ? r : engine_confine(kind);
}

static int plan_anchor(const struct workshop *shop, const int *own)
{
    int r = anchor_enter_by(own[USERNS], own[NETNS]);

    return r == 0 && shop->setup.uplink.uid != 0 ? uplink_user_become(&shop->setup.uplink) : r;
}

/* All that can be done before the word: netd has other things to do meanwhile. */
static int get_ready(const struct workshop *shop, const struct order *order, const int *own,
                     union plan *plan)
{
    switch ((enum child_kind)order->kind) {
    case CHILD_DNSMASQ:
        return plan_dnsmasq(shop, order->network, own, plan);
    case CHILD_PASTA:
    case CHILD_SLIRP4NETNS:
        return plan_engine(shop, order, own, plan);
    case CHILD_FORWARDER:
        return plan_forwarder(shop, own, plan);
    case CHILD_ANCHOR:
        return plan_anchor(shop, own);
    case CHILD_RELAY:
        return 0;
    case CHILD_KINDS:
        break;
    }
    return -EINVAL;
}

/* Not programs of their own, so nothing closes what is left but us. */
static int let_go_of_own(const int *own)
{
    int32_t ok = 0;

    if (write(own[LEASH], &ok, sizeof ok) != sizeof ok)
        return -EPIPE;
    for (size_t i = 0; i < OWN; i++)
        (void)close(own[i]);
    return 0;
}

static int become_relay(uint32_t n_fds, const int *own)
{
    int r = let_go_of_own(own);

    if (r < 0)
        return r;
    (void)prctl(PR_SET_NAME, "vmnet-relay");
    relay_main(3, 4, n_fds > 2 ? 5 : -1);
}

static int become_forwarder(const int *own, int bound)
{
    int r = let_go_of_own(own);

    if (r < 0)
        return r;
    (void)prctl(PR_SET_NAME, "vmnet-forwarder");
    forwarder_main(bound, 3);
}

/* Returns only what went wrong. */
static int begin(const struct order *order, const int *own, const union plan *plan)
{
    uint32_t kind = order->kind;

    if (kind == CHILD_DNSMASQ)
        return exec_program(plan->dnsmasq.path, plan->dnsmasq.argv);
    if (kind == CHILD_RELAY)
        return become_relay(order->n_fds, own);
    if (kind == CHILD_FORWARDER)
        return become_forwarder(own, plan->forwarder);
    if (kind == CHILD_ANCHOR)
        anchor_stay(own[LEASH]);
    return exec_program(plan->engine.path, plan->engine.argv);
}

_Noreturn void child_main(const struct workshop *shop, const struct order *order, const int *fds,
                          int leash)
{
    int own[OWN] = { leash, shop->userns, shop->netns };
    union plan plan;
    char word;
    int32_t r;

    signals_default();
    r = arrange_fds(fds, order->n_fds, own);
    if (r == 0)
        r = get_ready(shop, order, own, &plan);
    if (read(own[LEASH], &word, 1) != 1)
        _exit(127); /* netd is dead */
    if (r == 0)
        r = begin(order, own, &plan);
    (void)!write(own[LEASH], &r, sizeof r);
    _exit(127);
}
