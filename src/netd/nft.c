/* SPDX-License-Identifier: Apache-2.0 */
/* nft.c - see nft.h. */
#include "nft.h"

#include "mem.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nft {
    struct nft_ctx *ctx;
};

struct nft *nft_new(void)
{
    struct nft *nft = calloc(1, sizeof *nft);

    if (!nft)
        return NULL;
    nft->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!nft->ctx || nft_ctx_buffer_error(nft->ctx) != 0 || nft_ctx_buffer_output(nft->ctx) != 0) {
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
    n = vasprintf(&batch, fmt, ap);
    va_end(ap);
    if (n < 0) {
        batch = NULL;
        return -ENOMEM;
    }
    return run(nft, batch);
}

const char *nft_error(const struct nft *nft)
{
    const char *words = nft_ctx_get_error_buffer(nft->ctx);

    return words ? words : "";
}

int nft_list(struct nft *nft, const char *command, char **ret_json)
{
    unsigned flags = nft_ctx_output_get_flags(nft->ctx);
    char *copy;
    int r;

    nft_ctx_output_set_flags(nft->ctx, flags | NFT_CTX_OUTPUT_JSON);
    r = run(nft, command);
    nft_ctx_output_set_flags(nft->ctx, flags);
    if (r < 0)
        return r;
    copy = strdup(nft_ctx_get_output_buffer(nft->ctx));
    if (!copy)
        return -ENOMEM;
    *ret_json = copy;
    return 0;
}
