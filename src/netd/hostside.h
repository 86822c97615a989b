/* SPDX-License-Identifier: Apache-2.0 */
/* hostside.h - the one process that changes anything of the host's; system instance only.
 *
 * netd forks it before it enters the namespaces. It stays in the host's, keeps CAP_NET_ADMIN
 * over them and nothing else, and takes the few requests below, whose every value it checks
 * again. netd itself, once it is inside, has no right over the host.
 *
 * When it ends it leaves everything as it is: the next one goes on with that or sweeps it.
 */
#pragma once
#include "host_nat.h"
#include "why.h"

#include <stdbool.h>
#include <sys/types.h>

struct hostside;
struct partner;

/* inside_pid: somebody in the namespaces that the other ends of links go to. */
int hostside_start(pid_t inside_pid, struct hostside **ret);
/* It ends, and what it has made stays. NULL is fine. */
void hostside_free(struct hostside *hostside);
/* The process itself. */
const struct partner *hostside_partner(const struct hostside *hostside);

enum hostside_family { HOSTSIDE_IPV4 = 1 << 0, HOSTSIDE_IPV6 = 1 << 1 };

/* The host comes onto network `index`: a link with the host's addresses, up, whose other end
 * (names.h) is in the namespace, down and on no bridge. adopt: both ends are there already, from
 * an earlier netd; -ENODEV: they are not. ret_families: in which it has an address; without
 * HOSTSIDE_IPV6 the host has none at all. On error nothing is left. */
int hostside_join(struct hostside *hostside, uint32_t index, const struct netd_network *net,
                  bool adopt, unsigned *ret_families, struct netd_why *why);
/* The link goes; gone already: fine. After the last one nothing of ours is left in the host. */
int hostside_part(struct hostside *hostside, uint32_t index, struct netd_why *why);
/* What an earlier netd left in the host, and nobody has joined since, goes. */
int hostside_sweep(struct hostside *hostside, struct netd_why *why);

/* The kernel uplink: as host_nat.h has it. */
int hostside_nat_plan(struct hostside *hostside, const struct host_nat_plan *now,
                      struct host_nat_plan *ret, struct netd_why *why);
int hostside_nat_make(struct hostside *hostside, const struct host_nat_plan *plan,
                      unsigned *ret_mended, struct netd_why *why);
int hostside_nat_end(struct hostside *hostside, const struct host_nat_plan *plan,
                     struct netd_why *why);
int hostside_nat_arm(struct hostside *hostside, bool trace, struct netd_why *why);
int hostside_nat_look(struct hostside *hostside, struct host_nat_verdict *ret,
                      struct netd_why *why);
void hostside_nat_rest(struct hostside *hostside);

/* What it tells unasked. */
struct hostside_events {
    /* Somebody has deleted the link of this network. Joining again makes another one. */
    void (*lost)(void *arg, uint32_t index);
    /* The host's rules, routes, links or forwarding: time for another plan, and a probe. Only
     * between a first plan and the end. */
    void (*changed)(void *arg);
    void *arg;
};
/* Readable when there is something; then read it. */
int hostside_news_fd(const struct hostside *hostside);
void hostside_read_news(struct hostside *hostside, const struct hostside_events *events);
