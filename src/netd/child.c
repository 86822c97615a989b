/* SPDX-License-Identifier: Apache-2.0 */
/* child.c - what a child of the spawner does on its way to the program that it should be. */
#include "workshop.h"

#include "anchor.h"
#include "dnsmasq_sandbox.h"
#include "engine.h"
#include "packet.h"
#include "program.h"
#include "relay.h"
#include "signals.h"
#include "spawner.h"
#include "str.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
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

static int become_dnsmasq(const struct workshop *shop, uint32_t network, const int *own)
{
    static char name[] = "dnsmasq", foreground[] = "--keep-in-foreground", user[] = "--user=";
    char path[64], directory[4120], conf[4200];
    char *const argv[] = { name, foreground, user, conf, NULL };
    int r;

    r = program_of_system("dnsmasq", path, sizeof path);
    if (r == 0)
        r = str_format(directory, sizeof directory, "%s/%u", shop->state_path, network);
    if (r == 0)
        r = str_format(conf, sizeof conf, "--conf-file=%s/dnsmasq.conf", directory);
    if (r == 0)
        r = anchor_enter_by(own[USERNS], own[NETNS]);
    if (r == 0)
        r = keep_network_capabilities();
    if (r == 0)
        r = dnsmasq_sandbox_enter(&shop->dnsmasq, directory);
    return r < 0 ? r : exec_program(path, argv);
}

static int become_engine(const struct workshop *shop, enum child_kind kind)
{
    struct engine_argv command;
    int r;

    r = engine_argv(kind, shop->anchor, getuid(), &command);
    return r < 0 ? r : exec_program(command.path, command.argv);
}

/* Not a program of its own, so nothing closes what is left but us. */
static int become_relay(const int *own)
{
    int32_t ok = 0;

    (void)prctl(PR_SET_NAME, "vmnet-relay");
    if (write(own[LEASH], &ok, sizeof ok) != sizeof ok)
        return -EPIPE;
    for (size_t i = 0; i < OWN; i++)
        (void)close(own[i]);
    relay_main(3, 4);
}

static int become_anchor(const int *own)
{
    int r = anchor_enter_by(own[USERNS], own[NETNS]);

    if (r < 0)
        return r;
    anchor_stay(own[LEASH]);
}

_Noreturn void child_main(const struct workshop *shop, const struct order *order, const int *fds,
                          int leash)
{
    int own[OWN] = { leash, shop->userns, shop->netns };
    char word;
    int32_t r;

    signals_default();
    r = arrange_fds(fds, order->n_fds, own);
    if (read(own[LEASH], &word, 1) != 1)
        _exit(127); /* netd is dead */
    if (r == 0 && order->kind == CHILD_DNSMASQ)
        r = become_dnsmasq(shop, order->network, own);
    else if (r == 0 && order->kind == CHILD_RELAY)
        r = become_relay(own);
    else if (r == 0 && order->kind == CHILD_ANCHOR)
        r = become_anchor(own);
    else if (r == 0)
        r = become_engine(shop, (enum child_kind)order->kind);
    (void)!write(own[LEASH], &r, sizeof r);
    _exit(127);
}
