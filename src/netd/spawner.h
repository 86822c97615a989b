/* SPDX-License-Identifier: Apache-2.0 */
/* spawner.h - starts netd's children, from outside netd's own confinement.
 *
 * netd forks the spawner before it enters the namespace and drops what it does
 * not need; afterwards netd itself can start nothing. The spawner takes no path,
 * command or argument: only which of the few programs below is wanted, for which
 * index and interface of the host's; it composes the command line itself. Children are the
 * spawner's, so netd holds a pidfd of each and watches that.
 *
 * Being outside, it also opens the ports of the host that are forwarded to VMs.
 */
#pragma once
#include "anchor.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum child_kind {
    CHILD_DNSMASQ,     /* inside the namespace, ambient CAP_NET_*; per network   */
    CHILD_PASTA,       /* outside; joins the namespace by the anchor's /proc paths */
    CHILD_SLIRP4NETNS, /* outside; likewise; one descriptor: --ready-fd           */
    CHILD_RELAY,       /* outside; not a program but relay_main(); two descriptors:
                        * UDP and TCP sockets made inside; a third: whom to ask   */
    CHILD_ANCHOR,      /* inside; another anchor, when the first has died. Later
                        * engines take their way in by it                        */
    CHILD_FORWARDER,   /* inside, CAP_NET_RAW; forwarder_main(); one descriptor: netd's  */
    CHILD_KINDS
};

struct child {
    pid_t pid;     /* 0: not running */
    int pidfd;     /* -1: none; readable when the child has ended */
    uint64_t born; /* field 22 of /proc/PID/stat: with the pid, an identity */
};

struct partner;
struct spawner;

struct spawner_setup {
    pid_t inside; /* whose namespaces children join; the anchor, as far as it lives */
    /* netd's directory in the state directory: dnsmasq of network N reads N/dnsmasq.conf there. */
    const char *state_path;
    const char *socket_path; /* netd's own to make; NULL: it has none, or was given one */
    const char *netns_link; /* leads to the network namespace, for `ip netns`; NULL: nothing does */
    uid_t broker;           /* beside root the only one who may connect to that */
    struct uplink_user uplink; /* whom the user namespace knows beside us */
};

/* setup: the spawner has a copy; what it points to is borrowed for the length of the call. */
int spawner_start(const struct spawner_setup *setup, struct spawner **ret);
void spawner_free(struct spawner *spawner); /* ends the spawner, not its children */

/* What is to be started. fds: borrowed; the child gets them as 3, 4, ... . */
struct spawner_order {
    enum child_kind kind;
    uint32_t network;      /* dnsmasq's; an engine's uplink */
    const char *interface; /* the engine's way out of the host; NULL: by the host's routes */
    const int *fds;
    size_t n_fds;
    /* Writes the child down before it begins, so that there is none that the next netd does
     * not know of. Negative: it ends, and that is the error of who takes it. */
    int (*write_down)(void *arg, const struct child *child);
    void *arg;
};

/* On error *ret is untouched. */
int spawner_run(struct spawner *spawner, const struct spawner_order *order, struct child *ret);

/* The same in three steps, for who has something else to do meanwhile.
 *
 * The child is forked and gets ready. The next that is done with the spawner takes it or
 * drops it. */
int spawner_ask(struct spawner *spawner, const struct spawner_order *order);
void spawner_drop(struct spawner *spawner);
/* By the same order: the child is written down and begins. ret_leash: the caller's, for
 * child_outcome(). On error nothing is returned, and the child ends. */
int spawner_take(struct spawner *spawner, const struct spawner_order *order, struct child *ret,
                 int *ret_leash);
/* Waits until the child has become what it should: 0, or why it cannot. Closes the leash; 0
 * if that is closed already. */
int child_outcome(int *leash);

/* server_listen() and server_unlisten(), where netd may not reach. */
int spawner_listen(struct spawner *spawner);
int spawner_unlisten(struct spawner *spawner);

/* Removes netns_link. */
int spawner_unname(struct spawner *spawner);

/* Is the other end of this connection the broker? 0; -EPERM; or another negative errno. */
int spawner_admit(struct spawner *spawner, int fd);

/* A port of the host, where netd itself has no sockets. */
struct host_port {
    uint8_t addr[16]; /* IPv4 as ::ffff:192.0.2.1; of any, ::ffff:0.0.0.0 or :: */
    uint16_t port;
    uint16_t udp; /* 0 or 1 */
};

/* A socket that listens there, non-blocking and close-on-exec, or a negative errno. Datagrams
 * come with the address that they were sent to. */
int spawner_open_port(struct spawner *spawner, const struct host_port *port);
/* holders_find(), likewise; a negative errno: who knows. */
pid_t spawner_find_holder(struct spawner *spawner, uint32_t index, uint64_t taps);
/* orphans_sweep(): 1, 0, or a negative errno. */
int spawner_sweep_orphans(struct spawner *spawner);
/* The process itself; without it nothing can be started any more. */
const struct partner *spawner_partner(const struct spawner *spawner);

/* A child of an earlier netd, by what the journal says; -ESRCH when it is no more. */
int child_adopt(pid_t pid, uint64_t born, struct child *ret);

/* SIGKILL for one that is no longer wanted, if it still is that one. */
void child_end(const struct process *process);

/* SIGTERM, or sig; -ESRCH when it has already ended. Through the pidfd. */
int child_signal(const struct child *child, int sig);
/* Forget an ended child: closes the pidfd and zeroes the struct. */
void child_forget(struct child *child);
