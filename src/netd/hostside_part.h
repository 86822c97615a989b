/* SPDX-License-Identifier: Apache-2.0 */
/* hostside_part.h - what the rooms behind hostside.h know of each other:
 *
 *   hostside.c         netd's side: forks the process, asks it, hears its news
 *   hostside_main.c    the process: confines itself, serves one request after the other
 *   hostside_check.c   may it be? Pure
 *   hostside_link.c    a link: made, looked after, deleted
 *   hostside_table.c   the host's nftables table `inet vmnet_broker`
 *   hostside_news.c    what the kernel tells of the host
 *   hostside_watch.c   notices what others do to them
 *   hostside_nat.c     the kernel uplink (host_nat.h), and what of the host decides about it
 *
 * One fixed struct in, one out, one after the other; and on a socket of its own, news. Another
 * request is an entry of the enum, a member of the union, a check and a line of the table in
 * hostside_main.c.
 */
#pragma once
#include "confine.h"
#include "host_nat.h"
#include "hostside.h"
#include "journal.h"
#include "link.h"
#include "nft.h"

#include <net/if.h>
#include <systemd/sd-event.h>

#define HOSTSIDE_NAME  "vmnet-hostside" /* the process */
#define HOSTSIDE_TABLE "inet vmnet_broker"

enum hostside_op {
    HOSTSIDE_JOIN = 1,
    HOSTSIDE_PART,
    HOSTSIDE_SWEEP,
    HOSTSIDE_NAT_PLAN, /* these as in host_nat.h */
    HOSTSIDE_NAT_MAKE,
    HOSTSIDE_NAT_END,
    HOSTSIDE_NAT_ARM,
    HOSTSIDE_NAT_LOOK,
    HOSTSIDE_NAT_REST,
    HOSTSIDE_OPS
};

/* Names, MACs and the host's addresses follow from these; nobody can ask for others. */
struct hostside_network {
    uint32_t index;
    uint32_t ipv4_base, ipv4_prefix; /* host order */
    uint32_t ipv6_len;               /* 0: no IPv6, else 64 */
    uint8_t ipv6[16];
    uint32_t mtu;
    uint32_t adopt; /* 0 or 1 */
};

struct hostside_request {
    uint32_t op;
    union {
        struct hostside_network join;
        uint32_t part;             /* the index */
        struct host_nat_plan plan; /* what there is, or is to be */
        uint32_t trace;            /* 0 or 1 */
    } body;
};

struct hostside_reply {
    int32_t err;
    union {
        uint32_t families; /* of JOIN */
        struct host_nat_plan plan;
        uint32_t mended; /* of NAT_MAKE */
        struct host_nat_verdict verdict;
    } body;
    struct netd_why why;
};

enum hostside_news_kind { HOSTSIDE_LOST = 1, HOSTSIDE_CHANGED };

struct hostside_news {
    uint32_t kind;
    uint32_t index;
};

struct host_link {
    bool known;
    struct hostside_network net;
    char name[IFNAMSIZ];
    int ifindex; /* 0: lost, and netd has been told */
    unsigned families;
};

struct host_watch {
    int rtnl, nft;
    sd_event_source *rtnl_source, *nft_source, *look;
    bool links_touched, rules_touched; /* since the last look */
    uint64_t looked, repaired;         /* when, monotonic microseconds */
    bool unwritten; /* the table is not what it must be: the last writing failed */
    char *table;    /* what ours looked like when we had written it; NULL: there is none */
};

/* While the kernel uplink is of interest. */
struct nat_watch {
    int rtnl, nft; /* -1: it is not */
    sd_event_source *rtnl_source, *nft_source, *quiet;
};

/* What the process knows. */
struct host {
    int sock, news; /* netd's */
    int netns;      /* where the other ends go */
    sd_event *event;
    struct link_ctx *links;
    struct nft *rules;
    struct host_link at[NETWORKS_MAX]; /* by index */
    struct host_watch watch;
    struct host_nat *nat;
    struct nat_watch nat_watch;
};

#define FOREACH_HOST_LINK(link, host)                                                              \
    for (uint32_t i_ = 0; i_ < NETWORKS_MAX; i_++)                                                 \
        for (struct host_link *link = (host)->at[i_].known ? &(host)->at[i_] : NULL; link;         \
             link = NULL)

/* ---- hostside_main.c ----------------------------------------------------------------- */

/* The rest of the process's life. */
_Noreturn void hostside_main(struct host *host);
/* Does what is asked, or says why not. */
void hostside_serve(struct host *host, const struct hostside_request *request,
                    struct hostside_reply *reply);
/* What it keeps, in parts that tests look at. */
int hostside_confine_calls(void);
int hostside_confine_files(void);

/* ---- hostside_check.c ---------------------------------------------------------------- */

/* The form of a request, and whether it can be done now; -EPROTO or another negative errno, with
 * words. */
int hostside_check(const struct host_link at[static NETWORKS_MAX],
                   const struct hostside_request *request, struct netd_why *why);

/* ---- hostside_link.c ----------------------------------------------------------------- */

/* By link->net: makes it (or takes over what is there), addresses it, brings it up. On error
 * nothing is left. */
int host_link_make(struct host *host, struct host_link *link, struct netd_why *why);
/* As it must be? What is not is set again: 1, when something was not. */
int host_link_mend(struct host *host, struct host_link *link, struct netd_why *why);
int host_link_delete(struct host *host, uint32_t index);
/* Deletes every link of ours, or of an earlier one of us, that is not known. */
int host_links_sweep(struct host *host);

/* ---- hostside_table.c ---------------------------------------------------------------- */

/* The table has this network, too. It is made if it is not there. */
int host_table_add(struct host *host, const struct host_link *link);
/* No longer; after the last one the table goes. link->known says "no" already. */
int host_table_remove(struct host *host, const struct host_link *link);
/* All of it afresh, at once; or gone, when there is no network. */
int host_table_write(struct host *host);
/* Is it what it was when we wrote it last? */
bool host_table_is_ours(struct host *host);

/* ---- hostside_news.c ----------------------------------------------------------------- */

struct nlmsghdr;

/* A netlink socket that hears of these groups, or a negative errno. The caller's. */
int host_news_open(int protocol, const int *groups, size_t n);
typedef bool (*host_news_concerns)(const struct host *host, const struct nlmsghdr *h);
/* Reads all there is; true, when any of it concerns, or some was lost. */
bool host_news_read(int fd, const struct host *host, host_news_concerns concerns);

/* ---- hostside_watch.c ---------------------------------------------------------------- */

int host_watch_begin(struct host *host);
/* The table is not as it must be, and is looked at again. */
void host_watch_rules(struct host *host);

/* ---- hostside_nat.c ------------------------------------------------------------------ */

int host_nat_begin(struct host *host);
bool host_nat_may(const struct hostside_request *request);
int serve_nat_plan(struct host *host, const struct hostside_request *request,
                   struct hostside_reply *reply);
int serve_nat_make(struct host *host, const struct hostside_request *request,
                   struct hostside_reply *reply);
int serve_nat_end(struct host *host, const struct hostside_request *request,
                  struct hostside_reply *reply);
int serve_nat_arm(struct host *host, const struct hostside_request *request,
                  struct hostside_reply *reply);
int serve_nat_look(struct host *host, const struct hostside_request *request,
                   struct hostside_reply *reply);
int serve_nat_rest(struct host *host, const struct hostside_request *request,
                   struct hostside_reply *reply);
