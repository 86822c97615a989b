/* SPDX-License-Identifier: Apache-2.0 */
/* nft_text.c - see nft_text.h. */
#include "nft_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void nft_text_add(struct nft_text *text, const char *fmt, ...)
{
    va_list ap;

    if (text->err < 0)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(text->at + text->len, sizeof text->at - text->len, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text->at - text->len)
        text->err = -ENAMETOOLONG;
    else
        text->len += (size_t)n;
}

int nft_text_run(const struct nft_text *text, struct nft *nft)
{
    return text->err < 0 ? text->err : nft_run(nft, "%s", text->at);
}
