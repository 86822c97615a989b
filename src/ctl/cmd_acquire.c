/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_acquire.c - holds a network, until ended or while a command runs. */
#include "child.h"
#include "client.h"
#include "ctl.h"
#include "fd.h"
#include "mem.h"
#include "objects.h"
#include "table.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

DEFINE_AUTO(struct table *, table_free);

static int print_network(const struct ctl *ctl, vmnet_broker_network_ref network)
{
    if (ctl->json)
        return print_json(network_json(network));
    AUTO(table_free)
    struct table *table = table_new("NETWORK MODE SUBNET GATEWAY IPV6-PREFIX UPLINK");
    const char *cells[] = {
        vmnet_broker_network_name(network),        vmnet_broker_network_mode(network),
        vmnet_broker_network_ipv4_subnet(network), vmnet_broker_network_ipv4_gateway(network),
        vmnet_broker_network_ipv6_prefix(network), vmnet_broker_network_uplink(network),
    };
    table_add(table, cells);
    table_print(table, stdout, "");
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

/* Blocks them; they are read as events from now on. */
static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Not until standard input ends: in the background of a script that is at once. */
static int stay(struct hold *hold, int signals)
{
    do {
        struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
                                { .fd = hold_fd(), .events = POLLIN } };
        while (poll(fds, N_ELEMENTS(fds), -1) < 0 && errno == EINTR)
            ;
        if (fds[0].revents)
            return EXIT_OK;
    } while (hold_again(hold));
    return EXIT_FAILED;
}

int cmd_acquire(struct ctl *ctl, int argc, char **argv)
{
    int r = common_options(ctl, argc, argv, false, 1, INT_MAX);
    if (r >= 0)
        return r;
    const char *name = argv[optind];
    char **command = argv + optind + 1;
    if (*command && strcmp(*command, "--") == 0)
        command++;
    client_choose(ctl->choice);

    AUTO_FD signals = *command ? -1 : open_signals();
    vmnet_broker_network_ref network = vmnet_broker_acquire_network(name, NULL);
    if (!network) {
        complain_network(name, vmnet_broker_last_error());
        return *command ? EXIT_OURS : EXIT_FAILED;
    }
    r = *command ? EXIT_OK : print_network(ctl, network);
    vmnet_broker_network_free(network);
    if (r != EXIT_OK)
        return r;
    struct hold hold = { .networks = (const char *const[]){ name, NULL } };
    return *command ? child_run(command, &hold, NULL) : stay(&hold, signals);
}
