/* SPDX-License-Identifier: Apache-2.0 */
/* guard.c - see guard.h.
 *
 * The kernel tells of every change of a link, of which a VM's coming and going cause
 * dozens. A filter on the socket lets through only what speaks of a port that looks
 * wrong, so that netd sleeps while all is well; the kernel's answers to questions pass the
 * same filter, so that no answer is a good one.
 *
 * What is told in passing is only a reason to ask. It may be about a moment in the making
 * of a TAP, and the owner's id in it is that of the namespace of whoever made the change.
 */
#include "guard.h"

#include "fd.h"
#include "link.h"
#include "mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64u /* messages at a time, so that others are served, too */

/* 02: locally administered. "vtap" */
#define MAC_HIGH 0x02767461u
#define MAC_LOW  0x7000u
const struct mac guard_mac = { { MAC_HIGH >> 24, MAC_HIGH >> 16 & 0xff, MAC_HIGH >> 8 & 0xff,
                                 MAC_HIGH & 0xff, MAC_LOW >> 8, MAC_LOW & 0xff } };

struct guard {
    struct guard_events events;
    sd_event_source *source;
    int fd;
    uint32_t address; /* ours: what is sent to it answers a question */
};

/* ---- what the kernel shall tell ------------------------------------------------------- */

#define ATTRIBUTES ((uint32_t)(NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct ifinfomsg))))

/* Numbers are loaded as the net has them. FIND gives an attribute's place, 0: none. */
#define LOAD(size, offset)    BPF_STMT(BPF_LD | BPF_##size | BPF_ABS, (uint32_t)(offset))
#define LOAD_AT(size, offset) BPF_STMT(BPF_LD | BPF_##size | BPF_IND, (uint32_t)(offset))
#define SET(value)            BPF_STMT(BPF_LD | BPF_IMM, value)
#define KEEP                  BPF_STMT(BPF_ST, 0)
#define RECALL                BPF_STMT(BPF_LD | BPF_MEM, 0)
#define TO_INDEX              BPF_STMT(BPF_MISC | BPF_TAX, 0)
#define FIND(type)            BPF_STMT(BPF_LDX | BPF_IMM, type), LOAD(W, SKF_AD_OFF + SKF_AD_NLATTR)
#define FIND_INSIDE(type)                                                                          \
    BPF_STMT(BPF_LDX | BPF_IMM, type), LOAD(W, SKF_AD_OFF + SKF_AD_NLATTR_NEST)
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), yes, no)

enum { ON = 0, DROP = 254, PASS = 255 }; /* where to jump; see resolve() */

/* The last two instructions are what DROP and PASS stand for. */
static void resolve(struct sock_filter *code, size_t n)
{
    code[n - 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    code[n - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    for (size_t i = 0; i < n; i++) {
        uint8_t *const jumps[] = { &code[i].jt, &code[i].jf };

        for (size_t k = 0; k < N_ELEMENTS(jumps); k++)
            if (*jumps[k] >= DROP)
                *jumps[k] = (uint8_t)(n - 2 + (*jumps[k] - DROP) - (i + 1));
    }
}

static int hear_of_wrong_ones(int fd)
{
    struct sock_filter code[] = {
        LOAD(H, offsetof(struct nlmsghdr, nlmsg_type)),
        IF_EQUAL(htons(RTM_NEWLINK), ON, DROP),
        LOAD(B, NLMSG_HDRLEN + offsetof(struct ifinfomsg, ifi_family)),
        IF_EQUAL(AF_UNSPEC, ON, DROP),
        SET(ATTRIBUTES),
        FIND(IFLA_MASTER),
        IF_EQUAL(0, DROP, ON),
        SET(ATTRIBUTES),
        FIND(IFLA_ADDRESS),
        TO_INDEX,
        LOAD_AT(W, NLA_HDRLEN),
        IF_EQUAL(MAC_HIGH, ON, PASS),
        LOAD_AT(H, NLA_HDRLEN + 4),
        IF_EQUAL(MAC_LOW, ON, PASS),
        SET(ATTRIBUTES),
        FIND(IFLA_LINKINFO),
        IF_EQUAL(0, DROP, ON),
        FIND_INSIDE(IFLA_INFO_DATA),
        IF_EQUAL(0, DROP, ON),
        KEEP,
        FIND_INSIDE(IFLA_TUN_PERSIST),
        IF_EQUAL(0, DROP, ON),
        TO_INDEX,
        LOAD_AT(B, NLA_HDRLEN),
        IF_EQUAL(0, ON, PASS),
        RECALL,
        FIND_INSIDE(IFLA_TUN_OWNER),
        IF_EQUAL(0, ON, PASS),
        RECALL,
        FIND_INSIDE(IFLA_TUN_GROUP),
        IF_EQUAL(0, DROP, PASS),
        { 0 },
        { 0 },
    };
    const struct sock_fprog program = { .len = N_ELEMENTS(code), .filter = code };

    resolve(code, N_ELEMENTS(code));
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

static int open_socket(uint32_t *ret_address)
{
    struct sockaddr_nl here = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
    AUTO_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    socklen_t len = sizeof here;
    int r;

    if (fd < 0)
        return -errno;
    r = hear_of_wrong_ones(fd);
    if (r < 0)
        return r;
    if (bind(fd, (const struct sockaddr *)&here, sizeof here) < 0 ||
        getsockname(fd, (struct sockaddr *)&here, &len) < 0)
        return -errno;
    *ret_address = here.nl_pid;
    return fd_take(&fd);
}

/* ---- asking, and judging the answer ---------------------------------------------------- */

void guard_look(const struct guard *guard, int ifindex)
{
    const struct {
        struct nlmsghdr head;
        struct ifinfomsg info;
    } question = { .head = { .nlmsg_len = sizeof question,
                             .nlmsg_type = RTM_GETLINK,
                             .nlmsg_flags = NLM_F_REQUEST },
                   .info = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex } };

    /* Of a link that has gone there is nothing to say. */
    (void)send(guard->fd, &question, sizeof question, 0);
}

static bool has(struct nlattr *const *attr, int type, size_t len)
{
    return attr[type] && (size_t)nla_len(attr[type]) >= len;
}

const char *const guard_words[] = { [GUARD_MAC] = "was given another MAC address",
                                    [GUARD_OUTLIVE] = "was made to outlive its VM",
                                    [GUARD_OWNER] = "was given another owner" };

/* Negative: nothing. */
static int what_is_wrong(struct nlmsghdr *h)
{
    struct nlattr *attr[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1], *tun[IFLA_TUN_MAX + 1];
    bool carrier;

    if (nlmsg_parse(h, sizeof(struct ifinfomsg), attr, IFLA_MAX, NULL) < 0 ||
        !has(attr, IFLA_LINKINFO, 0) ||
        nla_parse_nested(info, IFLA_INFO_MAX, attr[IFLA_LINKINFO], NULL) < 0 ||
        !has(info, IFLA_INFO_DATA, 0) ||
        nla_parse_nested(tun, IFLA_TUN_MAX, info[IFLA_INFO_DATA], NULL) < 0)
        return -1;
    carrier = !has(attr, IFLA_CARRIER, 1) || nla_get_u8(attr[IFLA_CARRIER]);
    if (has(attr, IFLA_ADDRESS, sizeof guard_mac.b) &&
        memcmp(nla_data(attr[IFLA_ADDRESS]), guard_mac.b, sizeof guard_mac.b) != 0)
        return GUARD_MAC;
    if (has(tun, IFLA_TUN_PERSIST, 1) && nla_get_u8(tun[IFLA_TUN_PERSIST]) && !carrier)
        return GUARD_OUTLIVE;
    if (has(tun, IFLA_TUN_GROUP, 4) ||
        (has(tun, IFLA_TUN_OWNER, 4) && nla_get_u32(tun[IFLA_TUN_OWNER]) != geteuid()))
        return GUARD_OWNER;
    return -1;
}

static void on_message(struct guard *guard, struct nlmsghdr *h)
{
    const struct ifinfomsg *info = nlmsg_data(h);
    int fault;

    if (h->nlmsg_pid != guard->address) {
        guard_look(guard, info->ifi_index);
        return;
    }
    fault = what_is_wrong(h);
    if (fault >= 0)
        guard->events.wrong(guard->events.arg, info->ifi_index, (enum guard_fault)fault);
}

/* 1: there was one. 0: there is none. -ENOBUFS: some were lost. */
static int read_one(struct guard *guard)
{
    _Alignas(struct nlmsghdr) char buf[LINK_MESSAGE_MAX];
    ssize_t got = recv(guard->fd, buf, sizeof buf, 0);
    int left = (int)got;

    if (got < 0)
        return errno == EAGAIN ? 0 : -errno;
    for (struct nlmsghdr *h = (struct nlmsghdr *)buf; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
        if (h->nlmsg_type == RTM_NEWLINK)
            on_message(guard, h);
    return 1;
}

static int on_news(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct guard *guard = arg;
    bool missed = false;
    int r = 1;

    (void)source;
    (void)fd;
    (void)events;
    for (unsigned i = 0; r != 0 && i < BATCH; i++) {
        r = read_one(guard);
        missed |= r == -ENOBUFS;
    }
    if (missed)
        guard->events.missed(guard->events.arg);
    return 0;
}

int guard_new(sd_event *event, const struct guard_events *events, struct guard **ret)
{
    struct guard *guard = calloc(1, sizeof *guard);
    int r;

    if (!guard)
        return -ENOMEM;
    guard->events = *events;
    r = guard->fd = open_socket(&guard->address);
    if (r >= 0)
        r = sd_event_add_io(event, &guard->source, guard->fd, EPOLLIN, on_news, guard);
    if (r < 0) {
        guard_free(guard);
        return r;
    }
    *ret = guard;
    return 0;
}

void guard_free(struct guard *guard)
{
    if (!guard)
        return;
    (void)sd_event_source_disable_unref(guard->source);
    fd_closep(&guard->fd);
    free(guard);
}
