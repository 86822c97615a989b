/* SPDX-License-Identifier: Apache-2.0 */
/* link.c - see link.h.
 *
 * Messages are composed by hand with libnl's attribute helpers rather than through
 * its link objects: those keep a cache of all links, and filling it costs more than
 * everything else here together. One request, one acknowledgement.
 */
#include "link.h"

#include "fd.h"
#include "str.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define ANSWER_MAX  32768 /* bytes; the kernel's own limit is 16384 for one link */
#define BACKLOG_MAX 4096  /* messages; the monitor's buffer has room for a tenth */

/* Where guests may use MACs of their own choice, they must not fill the kernel's memory
 * with them. Kernels before 6.7 know no such limit, and pass over the number. */
#define BR_FDB_MAX_LEARNED 49 /* IFLA_BR_FDB_MAX_LEARNED of newer headers */
#define LEARNED_MAX        4096u

struct link_ctx {
    struct nl_sock *sock; /* NULL: to be opened again */
    int error; /* of the last request, as the kernel said it: libnl has its own numbers */
};

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *err, void *arg)
{
    struct link_ctx *ctx = arg;

    (void)who;
    ctx->error = err->error;
    return NL_STOP;
}

static void close_socket(struct link_ctx *ctx)
{
    if (ctx->sock)
        nl_socket_free(ctx->sock);
    ctx->sock = NULL;
}

static int open_socket(struct link_ctx *ctx)
{
    int r = 0;

    if (ctx->sock)
        return 0;
    ctx->sock = nl_socket_alloc();
    if (!ctx->sock)
        return -ENOMEM;
    if (nl_connect(ctx->sock, NETLINK_ROUTE) < 0)
        r = -EIO;
    /* A buffer that is large enough anyway, instead of a look at each message's size. */
    else if (nl_socket_set_msg_buf_size(ctx->sock, ANSWER_MAX) < 0)
        r = -ENOMEM;
    if (r < 0) {
        close_socket(ctx);
        return r;
    }
    nl_socket_disable_msg_peek(ctx->sock);
    nl_socket_modify_err_cb(ctx->sock, NL_CB_CUSTOM, on_error, ctx);
    return 0;
}

int link_open(struct link_ctx **ret)
{
    struct link_ctx *ctx = calloc(1, sizeof *ctx);
    int r = ctx ? open_socket(ctx) : -ENOMEM;

    if (r < 0) {
        free(ctx);
        return r;
    }
    *ret = ctx;
    return 0;
}

void link_close(struct link_ctx *ctx)
{
    if (!ctx)
        return;
    close_socket(ctx);
    free(ctx);
}

int link_index(struct link_ctx *ctx, const char *name)
{
    struct ifreq req = { .ifr_ifindex = 0 };
    int r = str_copy(req.ifr_name, sizeof req.ifr_name, name);

    if (r == 0)
        r = open_socket(ctx);
    if (r < 0)
        return r;
    if (ioctl(nl_socket_get_fd(ctx->sock), SIOCGIFINDEX, &req) < 0)
        return -errno;
    return req.ifr_ifindex;
}

/* What became of a request. The kernel's word on one that was not read would be taken for
 * that on the next one: such a socket is given up. */
static int outcome(struct link_ctx *ctx, int r)
{
    if (ctx->error)
        return ctx->error;
    if (r >= 0)
        return 0;
    close_socket(ctx);
    return -EIO;
}

/* Sends a composed message and waits for the kernel's word on it. Takes it over.
 * bad: one of the attributes did not fit, and the message is void. */
static int request(struct link_ctx *ctx, struct nl_msg *msg, bool bad)
{
    int r;

    r = bad || !msg ? -ENOMEM : open_socket(ctx);
    if (r < 0) {
        nlmsg_free(msg);
        return r;
    }
    ctx->error = 0;
    return outcome(ctx, nl_send_sync(ctx->sock, msg)); /* frees the message */
}

int link_request(struct link_ctx *ctx, struct nl_msg *msg, bool bad)
{
    return request(ctx, msg, bad);
}

/* A message about the link `name`; "" for none in particular. */
static struct nl_msg *link_message(int type, int flags, const struct ifinfomsg *info,
                                   const char *name)
{
    struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

    if (!msg)
        return NULL;
    if (nlmsg_append(msg, (void *)(uintptr_t)info, sizeof *info, NLMSG_ALIGNTO) < 0 ||
        (*name && nla_put_string(msg, IFLA_IFNAME, name) < 0)) {
        nlmsg_free(msg);
        return NULL;
    }
    return msg;
}

/* Without spanning tree (its ports wait 15 s before they forward) and without
 * multicast snooping (nobody here is a querier, so it would only lose frames). */
static bool put_bridge_kind(struct nl_msg *msg)
{
    struct nlattr *info, *data;
    bool bad;

    info = nla_nest_start(msg, IFLA_LINKINFO);
    bad = !info || nla_put_string(msg, IFLA_INFO_KIND, "bridge") < 0;
    data = bad ? NULL : nla_nest_start(msg, IFLA_INFO_DATA);
    if (!data)
        return true;
    bad |= nla_put_u32(msg, IFLA_BR_STP_STATE, 0) < 0;
    bad |= nla_put_u32(msg, IFLA_BR_FORWARD_DELAY, 0) < 0;
    bad |= nla_put_u8(msg, IFLA_BR_MCAST_SNOOPING, 0) < 0;
    bad |= nla_put_u32(msg, BR_FDB_MAX_LEARNED, LEARNED_MAX) < 0;
    nla_nest_end(msg, data);
    nla_nest_end(msg, info);
    return bad;
}

int link_add_bridge(struct link_ctx *ctx, const char *name, struct mac mac, unsigned mtu,
                    uint32_t group)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    struct nl_msg *msg = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &none, name);
    bool bad;

    if (!msg)
        return -ENOMEM;
    bad = nla_put(msg, IFLA_ADDRESS, sizeof mac.b, mac.b) < 0;
    bad |= nla_put_u32(msg, IFLA_MTU, mtu) < 0;
    bad |= nla_put_u32(msg, IFLA_GROUP, group) < 0;
    bad |= put_bridge_kind(msg);
    return request(ctx, msg, bad);
}

static int add_address(struct link_ctx *ctx, const char *name, const struct ifaddrmsg *head,
                       const void *addr, size_t len)
{
    struct ifaddrmsg info = *head;
    int index = link_index(ctx, name);
    struct nl_msg *msg;
    bool bad;

    if (index < 0)
        return index;
    info.ifa_index = (unsigned)index;
    msg = nlmsg_alloc_simple(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
    if (!msg)
        return -ENOMEM;
    bad = nlmsg_append(msg, &info, sizeof info, NLMSG_ALIGNTO) < 0;
    bad |= nla_put(msg, IFA_LOCAL, (int)len, addr) < 0;
    bad |= nla_put(msg, IFA_ADDRESS, (int)len, addr) < 0;
    return request(ctx, msg, bad);
}

int link_add_addr4(struct link_ctx *ctx, const char *name, uint32_t addr, unsigned prefix)
{
    const struct ifaddrmsg head = { .ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)prefix };
    uint32_t wire = htonl(addr);

    return add_address(ctx, name, &head, &wire, sizeof wire);
}

int link_add_addr6(struct link_ctx *ctx, const char *name, const uint8_t addr[16], unsigned len)
{
    const struct ifaddrmsg head = { .ifa_family = AF_INET6,
                                    .ifa_prefixlen = (uint8_t)len,
                                    .ifa_flags = IFA_F_NODAD };

    return add_address(ctx, name, &head, addr, 16);
}

static int add_default(struct link_ctx *ctx, const char *name, int family, const void *via,
                       size_t len, uint32_t table)
{
    const struct rtmsg info = { .rtm_family = (unsigned char)family,
                                .rtm_table = (unsigned char)table,
                                .rtm_protocol = RTPROT_STATIC,
                                .rtm_scope = RT_SCOPE_UNIVERSE,
                                .rtm_type = RTN_UNICAST };
    int index = link_index(ctx, name);
    struct nl_msg *msg;
    bool bad;

    if (index < 0)
        return index;
    msg = nlmsg_alloc_simple(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE);
    if (!msg)
        return -ENOMEM;
    bad = nlmsg_append(msg, (void *)(uintptr_t)&info, sizeof info, NLMSG_ALIGNTO) < 0;
    bad |= nla_put(msg, RTA_GATEWAY, (int)len, via) < 0;
    bad |= nla_put_u32(msg, RTA_OIF, (uint32_t)index) < 0;
    return request(ctx, msg, bad);
}

int link_add_default4(struct link_ctx *ctx, const char *name, uint32_t via, uint32_t table)
{
    uint32_t wire = htonl(via);

    return add_default(ctx, name, AF_INET, &wire, sizeof wire, table);
}

int link_add_default6(struct link_ctx *ctx, const char *name, const uint8_t via[16], uint32_t table)
{
    return add_default(ctx, name, AF_INET6, via, 16, table);
}

int link_set_up(struct link_ctx *ctx, const char *name)
{
    const struct ifinfomsg up = { .ifi_family = AF_UNSPEC,
                                  .ifi_flags = IFF_UP,
                                  .ifi_change = IFF_UP };

    return request(ctx, link_message(RTM_NEWLINK, 0, &up, name), false);
}

/* Possible only once the link is a bridge's port, hence a request of its own. */
static int set_isolated(struct link_ctx *ctx, int index)
{
    const struct ifinfomsg port = { .ifi_family = AF_BRIDGE, .ifi_index = index };
    struct nl_msg *msg = link_message(RTM_SETLINK, 0, &port, "");
    struct nlattr *info;
    bool bad;

    if (!msg)
        return -ENOMEM;
    info = nla_nest_start(msg, IFLA_PROTINFO | NLA_F_NESTED);
    bad = !info || nla_put_u8(msg, IFLA_BRPORT_ISOLATED, 1) < 0;
    if (info)
        nla_nest_end(msg, info);
    return request(ctx, msg, bad);
}

/* master 0: none. mac NULL: as it is. */
static int configure_port(struct link_ctx *ctx, const struct ifinfomsg *info, int master,
                          unsigned mtu, uint32_t group, const struct mac *mac)
{
    struct nl_msg *msg = link_message(RTM_NEWLINK, 0, info, "");
    bool bad = false;

    if (!msg)
        return -ENOMEM;
    bad |= nla_put_u32(msg, IFLA_MTU, mtu) < 0;
    bad |= nla_put_u32(msg, IFLA_GROUP, group) < 0;
    if (mac)
        bad |= nla_put(msg, IFLA_ADDRESS, sizeof mac->b, mac->b) < 0;
    if (master)
        bad |= nla_put_u32(msg, IFLA_MASTER, (uint32_t)master) < 0;
    return request(ctx, msg, bad);
}

int link_set_port(struct link_ctx *ctx, const char *name, const char *master, bool isolated,
                  unsigned mtu, uint32_t group)
{
    int index = link_index(ctx, name), bridge = master ? link_index(ctx, master) : 0;
    const struct ifinfomsg as_it_is = { .ifi_family = AF_UNSPEC, .ifi_index = index };
    int r;

    if (index < 0 || bridge < 0)
        return index < 0 ? index : bridge;
    r = configure_port(ctx, &as_it_is, bridge, mtu, group, NULL);
    return r < 0 || !isolated ? r : set_isolated(ctx, index);
}

int link_plug(struct link_ctx *ctx, int index, int bridge, unsigned mtu, uint32_t group,
              struct mac mac, bool up)
{
    const struct ifinfomsg info = { .ifi_family = AF_UNSPEC,
                                    .ifi_index = index,
                                    .ifi_flags = up ? IFF_UP : 0,
                                    .ifi_change = up ? IFF_UP : 0 };

    return configure_port(ctx, &info, bridge, mtu, group, &mac);
}

int link_set_mac(struct link_ctx *ctx, const char *name, struct mac mac)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    struct nl_msg *msg = link_message(RTM_NEWLINK, 0, &none, name);

    return request(ctx, msg, msg && nla_put(msg, IFLA_ADDRESS, sizeof mac.b, mac.b) < 0);
}

int link_set_txqueuelen(struct link_ctx *ctx, const char *name, unsigned frames)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    struct nl_msg *msg = link_message(RTM_NEWLINK, 0, &none, name);

    return request(ctx, msg, msg && nla_put_u32(msg, IFLA_TXQLEN, frames) < 0);
}

int link_add_ifb(struct link_ctx *ctx, const char *name, uint32_t group, unsigned frames,
                 unsigned queues)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    struct nl_msg *msg = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &none, name);
    struct nlattr *info;
    bool bad;

    if (!msg)
        return -ENOMEM;
    bad = nla_put_u32(msg, IFLA_TXQLEN, frames) < 0 ||
          nla_put_u32(msg, IFLA_NUM_TX_QUEUES, queues) < 0 ||
          nla_put_u32(msg, IFLA_GROUP, group) < 0;
    info = nla_nest_start(msg, IFLA_LINKINFO);
    bad |= !info || nla_put_string(msg, IFLA_INFO_KIND, "ifb") < 0;
    if (info)
        nla_nest_end(msg, info);
    return request(ctx, msg, bad);
}

int link_refuse_checksums(struct link_ctx *ctx, const char *name)
{
    struct ethtool_value off = { .cmd = ETHTOOL_STXCSUM, .data = 0 };
    struct ifreq req = { .ifr_data = (char *)&off };
    int r = str_copy(req.ifr_name, sizeof req.ifr_name, name);

    if (r == 0)
        r = open_socket(ctx);
    if (r < 0)
        return r;
    return ioctl(nl_socket_get_fd(ctx->sock), SIOCETHTOOL, &req) < 0 ? -errno : 0;
}

int link_delete(struct link_ctx *ctx, const char *name)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };

    return request(ctx, link_message(RTM_DELLINK, 0, &none, name), false);
}

int link_delete_index(struct link_ctx *ctx, int index)
{
    const struct ifinfomsg this = { .ifi_family = AF_UNSPEC, .ifi_index = index };

    return request(ctx, link_message(RTM_DELLINK, 0, &this, ""), false);
}

int link_delete_group(struct link_ctx *ctx, uint32_t group)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    struct nl_msg *msg = link_message(RTM_DELLINK, 0, &none, "");

    return request(ctx, msg, msg && nla_put_u32(msg, IFLA_GROUP, group) < 0);
}

struct stats_query {
    struct rtnl_link_stats64 stats;
    bool found;
};

static int on_stats(struct nl_msg *msg, void *arg)
{
    struct stats_query *query = arg;
    struct nlattr *attr = nlmsg_find_attr(nlmsg_hdr(msg), sizeof(struct ifinfomsg), IFLA_STATS64);

    /* An older kernel has fewer counters, a newer one more; we read the first few. */
    if (attr) {
        size_t len = (size_t)nla_len(attr);
        memcpy(&query->stats, nla_data(attr),
               len < sizeof query->stats ? len : sizeof query->stats);
        query->found = true;
    }
    return NL_OK;
}

/* Takes the message over. The answer comes first, and only an error comes alone: the
 * acknowledgement behind an answer must be read too, or the next request stumbles
 * over it. */
static int query(struct link_ctx *ctx, struct nl_msg *msg)
{
    int r;

    ctx->error = 0;
    r = nl_send_auto(ctx->sock, msg);
    nlmsg_free(msg);
    if (r >= 0)
        r = nl_recvmsgs_default(ctx->sock);
    if (r >= 0 && !ctx->error)
        r = nl_wait_for_ack(ctx->sock);
    return outcome(ctx, r);
}

int link_stats(struct link_ctx *ctx, const char *name, struct link_counters *ret)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    struct stats_query seen = { .found = false };
    struct nl_msg *msg;
    int r = open_socket(ctx);

    if (r < 0)
        return r;
    msg = link_message(RTM_GETLINK, 0, &none, name);
    if (!msg)
        return -ENOMEM;
    nl_socket_modify_cb(ctx->sock, NL_CB_VALID, NL_CB_CUSTOM, on_stats, &seen);
    r = query(ctx, msg);
    if (ctx->sock)
        nl_socket_modify_cb(ctx->sock, NL_CB_VALID, NL_CB_DEFAULT, NULL, NULL);
    if (r < 0)
        return r;
    if (!seen.found)
        return -ENODATA;
    *ret = (struct link_counters){ .rx_bytes = seen.stats.rx_bytes,
                                   .tx_bytes = seen.stats.tx_bytes,
                                   .rx_packets = seen.stats.rx_packets,
                                   .tx_packets = seen.stats.tx_packets };
    return 0;
}

/* ---- news --------------------------------------------------------------------------- */

/* One TAP's coming is told in fifteen messages, each of which would wake us, and many of
 * which would push the few that matter out of the buffer. A port that leaves its bridge
 * is told as AF_BRIDGE; the link itself lives on. */
static int hear_of_ends_only(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELLINK), 0,
                 3), /* it loads as the net does */
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NLMSG_HDRLEN + offsetof(struct ifinfomsg, ifi_family)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNSPEC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = { .len = sizeof code / sizeof *code, .filter = code };

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

int link_monitor_open(void)
{
    const struct sockaddr_nl here = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
    AUTO_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    int r;

    if (fd < 0)
        return -errno;
    r = hear_of_ends_only(fd);
    if (r < 0)
        return r;
    return bind(fd, (const struct sockaddr *)&here, sizeof here) < 0 ? -errno : fd_take(&fd);
}

/* 1: there was one. 0: there is none. */
static int read_one(int fd, void (*gone)(void *arg, int ifindex), void *arg)
{
    _Alignas(struct nlmsghdr) char buf[ANSWER_MAX];
    ssize_t got = recv(fd, buf, sizeof buf, 0);
    int left = (int)got;

    if (got < 0)
        return errno == EAGAIN ? 0 : -errno;
    for (struct nlmsghdr *h = (struct nlmsghdr *)buf; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
        const struct ifinfomsg *info = nlmsg_data(h);

        if (h->nlmsg_type == RTM_DELLINK && info->ifi_family == AF_UNSPEC)
            gone(arg, info->ifi_index);
    }
    return 1;
}

/* After a loss (-ENOBUFS) the kernel goes on throwing messages away until the socket was
 * read to its end, and does not say so again. Who looks for what was missed has to do
 * that first, or misses what goes meanwhile, for ever. */
int link_monitor_read(int fd, void (*gone)(void *arg, int ifindex), void *arg)
{
    int r = read_one(fd, gone, arg);
    bool lost = r < 0;

    for (unsigned i = 0; lost && r != 0 && i < BACKLOG_MAX; i++)
        r = read_one(fd, gone, arg);
    return lost ? -ENOBUFS : 0;
}

int sysctl_set(const char *knob, const char *value)
{
    char path[128];
    AUTO_FD fd = -1;
    int r;

    r = str_format(path, sizeof path, "/proc/sys/net/%s", knob);
    if (r < 0)
        return r;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}
