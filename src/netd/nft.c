/* SPDX-License-Identifier: Apache-2.0 */
/* nft.c - see nft.h. */
#include "nft.h"

#include "mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

DEFINE_AUTO(json_t *, json_decref);

struct nft {
    struct nft_ctx *ctx;
    struct nl_sock *sock; /* for elements only */
    uint32_t seq;         /* of the last message there */
    FILE *gathered;       /* NULL: what is asked for is done at once */
    char *text;           /* what has been gathered */
    size_t len;
};

struct nft *nft_new(void)
{
    struct nft *nft = calloc(1, sizeof *nft);

    if (!nft)
        return NULL;
    nft->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    nft->sock = nl_socket_alloc();
    if (!nft->sock || nl_connect(nft->sock, NETLINK_NETFILTER) < 0 || !nft->ctx ||
        nft_ctx_buffer_error(nft->ctx) != 0 || nft_ctx_buffer_output(nft->ctx) != 0) {
        nft_free(nft);
        return NULL;
    }
    return nft;
}

void nft_free(struct nft *nft)
{
    if (!nft)
        return;
    if (nft->ctx)
        nft_ctx_free(nft->ctx);
    if (nft->sock)
        nl_socket_free(nft->sock);
    if (nft->gathered)
        (void)fclose(nft->gathered);
    free(nft->text);
    free(nft);
}

/* Both buffers are emptied when the library's next command starts. */
static int run(struct nft *nft, const char *batch)
{
    return nft_run_cmd_from_buffer(nft->ctx, batch) == 0 ? 0 : -EIO;
}

int nft_run(struct nft *nft, const char *fmt, ...)
{
    AUTO_FREE char *batch = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = nft->gathered ? vfprintf(nft->gathered, fmt, ap) : vasprintf(&batch, fmt, ap);
    va_end(ap);
    if (nft->gathered)
        return n < 0 ? -ENOMEM : 0;
    if (n < 0) {
        batch = NULL;
        return -ENOMEM;
    }
    return run(nft, batch);
}

int nft_gather(struct nft *nft)
{
    nft->gathered = open_memstream(&nft->text, &nft->len);
    return nft->gathered ? 0 : -ENOMEM;
}

bool nft_accepts(struct nft *nft, const char *batch)
{
    return run(nft, batch) == 0;
}

int nft_let_go(struct nft *nft)
{
    int r = fclose(nft->gathered) == 0 ? 0 : -ENOMEM;

    nft->gathered = NULL;
    if (r == 0)
        r = run(nft, nft->text);
    free(nft->text);
    nft->text = NULL;
    return r;
}

const char *nft_error(const struct nft *nft)
{
    const char *words = nft_ctx_get_error_buffer(nft->ctx);

    return words ? words : "";
}

static int list_as(struct nft *nft, unsigned how, const char *command, char **ret)
{
    unsigned flags = nft_ctx_output_get_flags(nft->ctx);
    char *copy;
    int r;

    nft_ctx_output_set_flags(nft->ctx, flags | how);
    r = run(nft, command);
    nft_ctx_output_set_flags(nft->ctx, flags);
    if (r < 0)
        return r;
    copy = strdup(nft_ctx_get_output_buffer(nft->ctx));
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

int nft_list(struct nft *nft, const char *command, char **ret_json)
{
    return list_as(nft, NFT_CTX_OUTPUT_JSON, command, ret_json);
}

int nft_each_element(struct nft *nft, const char *set,
                     void (*each)(void *arg, const json_t *element), void *arg)
{
    AUTO(json_decref) json_t *root = NULL;
    AUTO_FREE char *text = NULL;
    const json_t *item, *element;
    char command[64];
    size_t i, k;
    int r;

    (void)snprintf(command, sizeof command, "list set %s", set);
    r = nft_list(nft, command, &text);
    if (r < 0)
        return r;
    root = json_loads(text, 0, NULL);
    if (!root)
        return -EBADMSG;
    json_array_foreach (json_object_get(root, "nftables"), i, item)
        json_array_foreach (json_object_get(json_object_get(item, "set"), "elem"), k, element)
            each(arg, element);
    return 0;
}

int nft_describe(struct nft *nft, const char *command, char **ret_text)
{
    return list_as(nft, NFT_CTX_OUTPUT_STATELESS, command, ret_text);
}

/* ---- elements, without the library ------------------------------------------------ */

/* A batch is one packet of messages: begin, one an element, end. */
struct batch {
    uint8_t data[8192];
    size_t len;
    uint32_t before, seq; /* those of its messages are in between */
};

/* Takes the message over. bad: something did not fit into it. */
static int batch_add(struct batch *batch, struct nl_msg *msg, bool bad)
{
    size_t len = msg ? NLMSG_ALIGN(nlmsg_hdr(msg)->nlmsg_len) : 0;
    int r = 0;

    if (bad || !msg || batch->len + len > sizeof batch->data) {
        r = -ENOBUFS;
    } else {
        nlmsg_hdr(msg)->nlmsg_seq = ++batch->seq;
        memcpy(batch->data + batch->len, nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len);
        batch->len += len;
    }
    nlmsg_free(msg);
    return r;
}

static struct nl_msg *netfilter_message(int type, int flags, uint8_t family, uint16_t resource)
{
    struct nfgenmsg head = { .nfgen_family = family,
                             .version = NFNETLINK_V0,
                             .res_id = htons(resource) };
    struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

    if (msg && nlmsg_append(msg, &head, sizeof head, NLMSG_ALIGNTO) < 0) {
        nlmsg_free(msg);
        return NULL;
    }
    return msg;
}

static int batch_mark(struct batch *batch, int type)
{
    return batch_add(batch, netfilter_message(type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES), false);
}

static bool put_verdict(struct nl_msg *msg, const char *chain)
{
    struct nlattr *data = nla_nest_start(msg, NFTA_SET_ELEM_DATA);
    struct nlattr *verdict = data ? nla_nest_start(msg, NFTA_DATA_VERDICT) : NULL;
    bool bad = !verdict;

    if (bad)
        return true;
    bad |= nla_put_u32(msg, NFTA_VERDICT_CODE, htonl((uint32_t)NFT_GOTO)) < 0;
    bad |= nla_put_string(msg, NFTA_VERDICT_CHAIN, chain) < 0;
    nla_nest_end(msg, verdict);
    nla_nest_end(msg, data);
    return bad;
}

/* elements { element { key { value }, [ data { verdict } ] } } */
static bool put_element(struct nl_msg *msg, const struct nft_element *e, bool with_data)
{
    struct nlattr *list = nla_nest_start(msg, NFTA_SET_ELEM_LIST_ELEMENTS);
    struct nlattr *element = list ? nla_nest_start(msg, NFTA_LIST_ELEM) : NULL;
    struct nlattr *key = element ? nla_nest_start(msg, NFTA_SET_ELEM_KEY) : NULL;
    bool bad = !key;

    if (bad)
        return true;
    bad |= nla_put(msg, NFTA_DATA_VALUE, (int)e->len, e->key) < 0;
    nla_nest_end(msg, key);
    if (with_data && e->go_to)
        bad |= put_verdict(msg, e->go_to);
    nla_nest_end(msg, element);
    nla_nest_end(msg, list);
    return bad;
}

static int batch_element(struct batch *batch, bool add, const char *table,
                         const struct nft_element *e, bool last)
{
    int type = NFNL_SUBSYS_NFTABLES << 8 | (add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM);
    int flags = (add ? NLM_F_CREATE : 0) | (last ? NLM_F_ACK : 0);
    struct nl_msg *msg = netfilter_message(type, flags, NFPROTO_BRIDGE, 0);
    bool bad;

    if (!msg)
        return -ENOMEM;
    bad = nla_put_string(msg, NFTA_SET_ELEM_LIST_TABLE, table) < 0;
    bad |= nla_put_string(msg, NFTA_SET_ELEM_LIST_SET, e->set) < 0;
    bad |= put_element(msg, e, add);
    return batch_add(batch, msg, bad);
}

/* The kernel has worked through the batch when sending returns, and its words are all
 * there: an acknowledgement of the last element, or errors. */
static int batch_run(struct nft *nft, struct batch *batch)
{
    _Alignas(struct nlmsghdr) uint8_t buf[8192];
    int first = -EIO; /* no word at all */
    ssize_t got;

    if (nl_sendto(nft->sock, batch->data, batch->len) < 0)
        return -EIO;
    while ((got = recv(nl_socket_get_fd(nft->sock), buf, sizeof buf, MSG_DONTWAIT)) > 0) {
        int left = (int)got;

        for (struct nlmsghdr *h = (struct nlmsghdr *)buf; nlmsg_ok(h, left);
             h = nlmsg_next(h, &left)) {
            const struct nlmsgerr *word = nlmsg_data(h);
            bool ours = h->nlmsg_seq - batch->before - 1 < batch->seq - batch->before;

            /* An earlier one's words may not have been read. */
            if (h->nlmsg_type == NLMSG_ERROR && ours && (first == -EIO || first == 0))
                first = word->error;
        }
    }
    return first;
}

static int gather_element(struct nft *nft, bool add, const char *table, const struct nft_element *e)
{
    bool verdict = add && e->go_to;

    return nft_run(nft, "%s element bridge %s %s { %s%s%s }\n", add ? "add" : "delete", table,
                   e->set, e->text, verdict ? " : goto " : "", verdict ? e->go_to : "");
}

int nft_change_elements(struct nft *nft, bool add, const char *table,
                        const struct nft_element *elements, size_t n)
{
    struct batch batch = { .before = nft->seq, .seq = nft->seq };
    int r;

    if (nft->gathered) {
        r = 0;
        for (size_t i = 0; r == 0 && i < n; i++)
            r = gather_element(nft, add, table, &elements[i]);
        return r;
    }
    r = batch_mark(&batch, NFNL_MSG_BATCH_BEGIN);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = batch_element(&batch, add, table, &elements[i], i + 1 == n);
    if (r == 0)
        r = batch_mark(&batch, NFNL_MSG_BATCH_END);
    nft->seq = batch.seq;
    return r < 0 ? r : batch_run(nft, &batch);
}
