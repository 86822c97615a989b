/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h - the two programs that can carry a rootless namespace's traffic out.
 *
 * pasta and slirp4netns behind one small interface: which of them to use, what its
 * command line is, and how the uplink TAP must be addressed for it. Nothing here
 * starts anything: the spawner executes what engine_argv() composes, uplink.c
 * watches it. docs/decisions/0002-uplink-engine.md has the measurements.
 *
 * VMNET_BROKER_UPLINK_ENGINE=pasta|slirp4netns in netd's environment overrides the
 * choice (for tests and for finding out); a program that is not there stays refused.
 */
#pragma once
#include "addr.h"
#include "spawner.h"

#include <stdbool.h>

/* Of the TAP. More makes pasta no faster, and slirp4netns slower on long paths. */
#define ENGINE_MTU 1500

struct engine {
    enum child_kind kind; /* CHILD_PASTA or CHILD_SLIRP4NETNS */
    const char *name;     /* "pasta", "slirp4netns" */
    size_t n_fds;         /* what spawner_run() must pass: slirp4netns's --ready-fd */
    /* What it can carry. The router keeps the rest from it. */
    bool fragments; /* IPv4 datagrams in pieces */
    bool icmpv6;
};

/* An uplink TAP's addresses, and who answers at the other end; the same for both engines.
 * IPv4 in host byte order. */
struct engine_addresses {
    uint32_t ipv4, ipv4_gateway;
    unsigned ipv4_prefix;
    uint8_t ipv6[16], ipv6_gateway[16];
    unsigned ipv6_len;
};

/* slot: of the uplink (names.h). */
void engine_addresses(unsigned slot, struct engine_addresses *ret);

/* Which engine, and in *ret_why the reason as words for the log (static); on -ENOENT
 * what is missing, and the remedy.
 * host_sock: any socket of the host's namespace; its send buffer shows wmem_max. interface:
 * it must be one that can be told an interface of the host's.
 * -ENOENT: neither is installed (or not the one that the environment demands).
 * -EOPNOTSUPP: this kernel does not let an interface be chosen. */
int engine_choose(int host_sock, bool interface, const struct engine **ret, const char **ret_why);

/* The table behind it: NULL for a kind that is no engine. */
const struct engine *engine_of(enum child_kind kind);

/* A command line, complete in itself: no allocation, so that it can be composed
 * before or after a fork. argv points into the struct, which must not be copied. */
struct engine_argv {
    char path[64]; /* what to execute, absolute */
    char userns[40], netns[40];
    char ipv4[ADDR4_TEXT], ipv4_gateway[ADDR4_TEXT], ipv6[ADDR6_TEXT], ipv6_gateway[ADDR6_TEXT];
    char *argv[48]; /* NULL-ended */
    size_t n;
};

/* The namespaces that an engine joins, and between what it carries. */
struct engine_way {
    unsigned slot;         /* the uplink, inside */
    const char *interface; /* of the host's; "": by its routes. Lives as long as the argv */
    pid_t anchor;          /* pasta: by its /proc paths */
    bool inside;           /* pasta: of the user namespace already (uplink_user.h) */
    int userns, netns;     /* slirp4netns: by descriptors, which exec() must not close */
};

/* uid: the one that runs it, for 0 needs an extra option. -ENOENT: not installed. -EINVAL:
 * kind is no engine, or cannot do that. */
int engine_argv(enum child_kind kind, const struct engine_way *way, uid_t uid,
                struct engine_argv *ret);

/* In the process that is about to become it: what the engine does not give up by itself.
 * 0 or a negative errno. */
int engine_confine(enum child_kind kind);
