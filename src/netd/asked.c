/* SPDX-License-Identifier: Apache-2.0 */
/* asked.c - see asked.h.
 *
 * Each network has a quota of no bytes for what comes in by its bridge for dnsmasq's ports. The
 * kernel says once that it is used up, and not again before we set it back: one message however
 * much guests ask, and nothing in between. A quota harms nobody: no rule has a verdict that
 * depends on it. (A rule that logs would tell of every packet, and needs another module.)
 *
 * The same group of messages tells of all that we change ourselves. A filter on the socket keeps
 * that from waking us.
 */
#include "asked.h"

#include "fd.h"
#include "journal.h"
#include "log.h"
#include "mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define TABLE     "vmnet_asked"
#define NEWS_TYPE (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWOBJ)

struct waiting {
    void (*told)(void *arg); /* NULL: nobody */
    void *arg;
};

struct asked {
    struct waiting at[NETWORKS_MAX]; /* by index */
    int sock;
    sd_event_source *source;
};

/* ---- rules ----------------------------------------------------------------------------- */

#define QUOTA "over 1 bytes"

/* 547 is DHCPv6. What the filter drops does not come as far. */
#define RULES(table)                                                                               \
    "add table inet " table "\n"                                                                   \
    "delete table inet " table "\n"                                                                \
    "add table inet " table "\n"                                                                   \
    "add map inet " table " networks { type ifname : quota; }\n"                                   \
    "add chain inet " table " input { type filter hook input priority 10; policy accept; }\n"      \
    "add rule inet " table " input meta l4proto { tcp, udp } th dport { 53, 67, 547 } "            \
    "quota name iifname map @networks\n"

/* In a table that is gone at once. */
static bool is_possible(struct nft *nft)
{
    return nft_accepts(nft, RULES(TABLE "_try") "add quota inet " TABLE "_try n { " QUOTA " }\n"
                                                "delete table inet " TABLE "_try\n");
}

int asked_add_network(struct nft *nft, uint32_t index, const char *bridge)
{
    return nft_run(nft,
                   "add quota inet " TABLE " n%u { " QUOTA " }\n"
                   "add element inet " TABLE " networks { \"%s\" : \"n%u\" }\n",
                   index, bridge, index);
}

int asked_remove_network(struct nft *nft, uint32_t index, const char *bridge)
{
    return nft_run(nft,
                   "delete element inet " TABLE " networks { \"%s\" }\n"
                   "delete quota inet " TABLE " n%u\n",
                   bridge, index);
}

/* ---- the kernel's word ------------------------------------------------------------------- */

/* Only what could be a quota's, and what we have done wrong. The number is the machine's own byte
 * by byte, the filter's that of the network. */
static int let_only_news_in(int sock)
{
    const uint32_t type = offsetof(struct nlmsghdr, nlmsg_type);
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NEWS_TYPE), 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NLMSG_ERROR), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, ~0u),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = { .len = N_ELEMENTS(steps), .filter = steps };

    return setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static int open_news(void)
{
    const int group = NFNLGRP_NFTABLES;
    const struct sockaddr_nl here = { .nl_family = AF_NETLINK };
    AUTO_FD sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);

    if (sock < 0 || bind(sock, (const struct sockaddr *)&here, sizeof here) < 0 ||
        let_only_news_in(sock) < 0 ||
        setsockopt(sock, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
        return -errno;
    return fd_take(&sock);
}

static void tell(struct asked *asked, uint32_t index)
{
    struct waiting waiting;

    if (index >= NETWORKS_MAX || !asked->at[index].told)
        return;
    waiting = asked->at[index];
    asked->at[index].told = NULL;
    waiting.told(waiting.arg);
}

/* What somebody has asked for has a number: ours are answers to asked_wait(). */
static void take(struct asked *asked, struct nlmsghdr *msg)
{
    struct nlattr *attrs[NFTA_OBJ_MAX + 1];
    unsigned index;

    if (msg->nlmsg_type == NLMSG_ERROR)
        tell(asked, ((const struct nlmsgerr *)nlmsg_data(msg))->msg.nlmsg_seq - 1);
    else if (msg->nlmsg_type == NEWS_TYPE && msg->nlmsg_seq == 0 &&
             nlmsg_parse(msg, sizeof(struct nfgenmsg), attrs, NFTA_OBJ_MAX, NULL) == 0 &&
             attrs[NFTA_OBJ_TABLE] && strcmp(nla_get_string(attrs[NFTA_OBJ_TABLE]), TABLE) == 0 &&
             attrs[NFTA_OBJ_NAME] &&
             sscanf(nla_get_string(attrs[NFTA_OBJ_NAME]), "n%u", &index) == 1)
        tell(asked, index);
}

static int on_news(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    _Alignas(struct nlmsghdr) char buf[16384];
    struct asked *asked = arg;
    ssize_t got;

    (void)source, (void)events;
    while ((got = recv(fd, buf, sizeof buf, 0)) > 0 || (got < 0 && errno == ENOBUFS)) {
        int left = (int)got;

        for (uint32_t i = 0; got < 0 && i < NETWORKS_MAX; i++) /* who knows what was lost */
            tell(asked, i);
        for (struct nlmsghdr *msg = (struct nlmsghdr *)buf; got > 0 && nlmsg_ok(msg, left);
             msg = nlmsg_next(msg, &left))
            take(asked, msg);
    }
    return 0;
}

/* ---- waiting ----------------------------------------------------------------------------- */

/* Its answer, or why not, comes to the same socket. */
static int set_back(const struct asked *asked, uint32_t index)
{
    const struct nfgenmsg head = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
    struct nl_msg *msg =
        nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETOBJ_RESET, NLM_F_REQUEST);
    char name[16];
    int r = -ENOMEM;

    (void)snprintf(name, sizeof name, "n%u", index);
    if (msg && nlmsg_append(msg, (void *)(uintptr_t)&head, sizeof head, NLMSG_ALIGNTO) == 0 &&
        nla_put_string(msg, NFTA_OBJ_TABLE, TABLE) == 0 &&
        nla_put_string(msg, NFTA_OBJ_NAME, name) == 0 &&
        nla_put_u32(msg, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_QUOTA)) == 0) {
        nlmsg_hdr(msg)->nlmsg_seq = index + 1;
        r = send(asked->sock, nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len, 0) < 0 ? -errno : 0;
    }
    nlmsg_free(msg);
    return r;
}

void asked_wait(struct asked *asked, uint32_t index, void (*told)(void *arg), void *arg)
{
    int r;

    asked->at[index] = (struct waiting){ .told = told, .arg = arg };
    r = set_back(asked, index);
    if (r < 0)
        (void)log_failure(r, "nobody will notice if the dnsmasq of network %u hangs", index);
}

void asked_forget(struct asked *asked, uint32_t index)
{
    asked->at[index].told = NULL;
}

/* ---- life -------------------------------------------------------------------------------- */

int asked_new(sd_event *event, struct nft *nft, struct asked **ret)
{
    struct asked *asked;
    int r = is_possible(nft) ? 0 : -EOPNOTSUPP;

    if (r < 0)
        return r;
    asked = calloc(1, sizeof *asked);
    if (!asked)
        return -ENOMEM;
    r = asked->sock = open_news();
    if (r >= 0)
        r = sd_event_add_io(event, &asked->source, asked->sock, EPOLLIN, on_news, asked);
    if (r >= 0)
        r = nft_run(nft, RULES(TABLE));
    if (r < 0) {
        asked_free(asked);
        return r;
    }
    *ret = asked;
    return 0;
}

void asked_free(struct asked *asked)
{
    if (!asked)
        return;
    sd_event_source_disable_unref(asked->source);
    fd_closep(&asked->sock);
    free(asked);
}
