/* SPDX-License-Identifier: Apache-2.0 */
/* link.c - see link.h.
 *
 * Messages are composed by hand with libnl's attribute helpers rather than through
 * its link objects: those keep a cache of all links, and filling it costs more than
 * everything else here together. One request, one acknowledgement.
 *
 * Here are the socket, and links: made, changed, deleted, counted. link_address.c has addresses
 * and routes that lead by a link, link_news.c hears of links that go.
 */
#include "link.h"

#include "str.h"

#include <errno.h>
#include <linux/ethtool.h>
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
    else if (nl_socket_set_msg_buf_size(ctx->sock, LINK_MESSAGE_MAX) < 0)
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

/* What can be asked of a link, or told it, by its name and without a message. */
static int by_name(struct link_ctx *ctx, unsigned long question, const char *name,
                   struct ifreq *req)
{
    int r = str_copy(req->ifr_name, sizeof req->ifr_name, name);

    if (r == 0)
        r = open_socket(ctx);
    if (r < 0)
        return r;
    return ioctl(nl_socket_get_fd(ctx->sock), question, req) < 0 ? -errno : 0;
}

int link_index(struct link_ctx *ctx, const char *name)
{
    struct ifreq req = { .ifr_ifindex = 0 };
    int r = by_name(ctx, SIOCGIFINDEX, name, &req);

    return r < 0 ? r : req.ifr_ifindex;
}

int link_mac(struct link_ctx *ctx, const char *name, struct mac *ret)
{
    struct ifreq req = { .ifr_flags = 0 };
    int r = by_name(ctx, SIOCGIFHWADDR, name, &req);

    if (r == 0)
        memcpy(ret->b, req.ifr_hwaddr.sa_data, sizeof ret->b);
    return r;
}

int link_name(struct link_ctx *ctx, uint32_t index, char name[static IFNAMSIZ])
{
    struct ifreq req = { .ifr_ifindex = (int)index };
    int r = open_socket(ctx);

    if (r < 0)
        return r;
    if (ioctl(nl_socket_get_fd(ctx->sock), SIOCGIFNAME, &req) < 0)
        return -errno;
    return str_copy(name, IFNAMSIZ, req.ifr_name);
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

int link_request(struct link_ctx *ctx, struct nl_msg *msg, bool bad)
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

/* The answer comes first, and only an error comes alone: the acknowledgement behind an answer must
 * be read too, or the next request stumbles over it. */
int link_ask(struct link_ctx *ctx, struct nl_msg *msg, bool bad,
             int (*on_answer)(struct nl_msg *msg, void *arg), void *arg)
{
    int r = bad || !msg ? -ENOMEM : open_socket(ctx);

    if (r < 0) {
        nlmsg_free(msg);
        return r;
    }
    nl_socket_modify_cb(ctx->sock, NL_CB_VALID, NL_CB_CUSTOM, on_answer, arg);
    ctx->error = 0;
    r = nl_send_auto(ctx->sock, msg);
    nlmsg_free(msg);
    if (r >= 0)
        r = nl_recvmsgs_default(ctx->sock);
    if (r >= 0 && !ctx->error)
        r = nl_wait_for_ack(ctx->sock);
    r = outcome(ctx, r);
    if (ctx->sock)
        nl_socket_modify_cb(ctx->sock, NL_CB_VALID, NL_CB_DEFAULT, NULL, NULL);
    return r;
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
    return link_request(ctx, msg, bad);
}

int link_set_up(struct link_ctx *ctx, const char *name)
{
    const struct ifinfomsg up = { .ifi_family = AF_UNSPEC,
                                  .ifi_flags = IFF_UP,
                                  .ifi_change = IFF_UP };

    return link_request(ctx, link_message(RTM_NEWLINK, 0, &up, name), false);
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
    return link_request(ctx, msg, bad);
}

int link_set_port(struct link_ctx *ctx, const char *name, const char *master, unsigned mtu,
                  uint32_t group)
{
    int index = link_index(ctx, name), bridge = master ? link_index(ctx, master) : 0;
    const struct ifinfomsg as_it_is = { .ifi_family = AF_UNSPEC, .ifi_index = index };

    if (index < 0 || bridge < 0)
        return index < 0 ? index : bridge;
    return configure_port(ctx, &as_it_is, bridge, mtu, group, NULL);
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

int link_keep_mac(struct link_ctx *ctx, const char *name, struct mac mac)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    struct mac now;
    struct nl_msg *msg;
    int r = link_mac(ctx, name, &now);

    if (r < 0 || mac_equal(now, mac))
        return r;
    msg = link_message(RTM_NEWLINK, 0, &none, name);
    r = link_request(ctx, msg, msg && nla_put(msg, IFLA_ADDRESS, sizeof mac.b, mac.b) < 0);
    return r < 0 ? r : 1;
}

static int set_number(struct link_ctx *ctx, const char *name, int attribute, uint32_t value)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    struct nl_msg *msg = link_message(RTM_NEWLINK, 0, &none, name);

    return link_request(ctx, msg, msg && nla_put_u32(msg, attribute, value) < 0);
}

int link_set_txqueuelen(struct link_ctx *ctx, const char *name, unsigned frames)
{
    return set_number(ctx, name, IFLA_TXQLEN, frames);
}

int link_set_group(struct link_ctx *ctx, const char *name, uint32_t group)
{
    return set_number(ctx, name, IFLA_GROUP, group);
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
    return link_request(ctx, msg, bad);
}

int link_refuse_checksums(struct link_ctx *ctx, const char *name)
{
    struct ethtool_value off = { .cmd = ETHTOOL_STXCSUM, .data = 0 };
    struct ifreq req = { .ifr_data = (char *)&off };

    return by_name(ctx, SIOCETHTOOL, name, &req);
}

int link_delete(struct link_ctx *ctx, const char *name)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };

    return link_request(ctx, link_message(RTM_DELLINK, 0, &none, name), false);
}

int link_delete_index(struct link_ctx *ctx, int index)
{
    const struct ifinfomsg this = { .ifi_family = AF_UNSPEC, .ifi_index = index };

    return link_request(ctx, link_message(RTM_DELLINK, 0, &this, ""), false);
}

int link_delete_group(struct link_ctx *ctx, uint32_t group)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    struct nl_msg *msg = link_message(RTM_DELLINK, 0, &none, "");

    return link_request(ctx, msg, msg && nla_put_u32(msg, IFLA_GROUP, group) < 0);
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

int link_stats(struct link_ctx *ctx, const char *name, struct link_counters *ret)
{
    const struct ifinfomsg none = { .ifi_family = AF_UNSPEC };
    struct stats_query seen = { .found = false };
    int r = link_ask(ctx, link_message(RTM_GETLINK, 0, &none, name), false, on_stats, &seen);

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
